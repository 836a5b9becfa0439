#include "shared/dismissals.hpp"

#include <algorithm>

#include "shared/segment.hpp"

namespace shared::dismissals {

namespace {

// Written under the lock. The count is also read without it: a call that sees no new number need not take the lock, and
// sees one later at the latest after it was woken, because waking it goes through the lock of its room.
struct Area {
    pg_atomic_uint32 count;
    std::uint64_t last[1024]; // the next one goes where the count says, modulo the size
};

constinit Segment<Area>
    area({.name = "JobsDismissals",
          .locks = 1,
          .size = [] { return sizeof(Area); },
          .initialise = [](void *memory) { pg_atomic_init_u32(&static_cast<Area *>(memory)->count, 0); }});

std::uint64_t &place_of(std::uint32_t number) { return area->last[number % std::size(area->last)]; }

} // namespace

void request_dismissals() { area.request(); }

std::uint64_t hash_of_worker(std::string_view name)
{
    const Datum hash = hash_any_extended(reinterpret_cast<const unsigned char *>(name.data()),
                                         static_cast<int>(name.size()), MyDatabaseId);
    return std::max<std::uint64_t>(DatumGetUInt64(hash), 1);
}

void add_dismissal(std::uint64_t worker)
{
    if (!area)
        return;
    HeldLock lock(area.lock());
    const std::uint32_t before = count_dismissals();
    place_of(before) = worker;
    pg_atomic_write_u32(&area->count, before + 1);
}

std::uint32_t count_dismissals() { return area ? pg_atomic_read_u32(&area->count) : 0; }

bool was_dismissed_since(std::uint64_t worker, std::uint32_t count_then)
{
    if (worker == 0 || count_dismissals() == count_then)
        return false;
    HeldLock lock(area.lock(), LW_SHARED);
    const std::uint32_t now = count_dismissals();
    const std::uint32_t known = std::min<std::uint32_t>(now - count_then, std::size(area->last));
    for (std::uint32_t i = 1; i <= known; ++i)
        if (place_of(now - i) == worker)
            return true;
    return false;
}

} // namespace shared::dismissals
