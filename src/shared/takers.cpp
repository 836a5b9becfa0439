#include "shared/takers.hpp"

#include "shared/segment.hpp"

namespace shared::takers {

namespace {

constexpr std::size_t mark_count = 8192; // far more than claims at a time, so that few meet at a place

struct Area {
    pg_atomic_uint64 marks[mark_count]; // 0: none
};

void initialise(void *memory)
{
    for (pg_atomic_uint64 &mark : static_cast<Area *>(memory)->marks)
        pg_atomic_init_u64(&mark, 0);
}

constinit Segment<Area> area({.name = "JobsTakers",
                              .locks = 0,
                              .size = [] { return sizeof(Area); },
                              .initialise = initialise});

pg_atomic_uint64 *mine = nullptr; // where this process has set a mark

std::uint64_t mark_of(const pg_uuid_t *job)
{
    return hash_bytes_extended(job->data, UUID_LEN, MyDatabaseId) | 1; // not 0
}

pg_atomic_uint64 &place_of(std::uint64_t mark) { return area->marks[(mark >> 1) % mark_count]; }

} // namespace

void request_takers() { area.request(); }

bool begin(const pg_uuid_t *job)
{
    // A claim in a trigger of a claim goes without.
    if (!area || mine != nullptr)
        return true;
    const std::uint64_t mark = mark_of(job);
    pg_atomic_uint64 &place = place_of(mark);
    std::uint64_t found = 0;
    if (pg_atomic_compare_exchange_u64(&place, &found, mark))
        mine = &place;
    return found != mark;
}

void end()
{
    if (mine != nullptr)
        pg_atomic_exchange_u64(mine, 0); // a full barrier: it is gone before a hint comes down
    mine = nullptr;
}

bool is_being_taken(const pg_uuid_t *job)
{
    if (!area)
        return false;
    const std::uint64_t mark = mark_of(job);
    return pg_atomic_read_u64(&place_of(mark)) == mark;
}

} // namespace shared::takers
