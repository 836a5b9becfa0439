#include "shared/hint_records.hpp"

#include <algorithm>
#include <utility>

#include "settings.hpp"

namespace shared::hints {

namespace {

// In this order: the heads, each of which is to lie in one line of the processor's cache, the records, and the buckets
// of the hash table, as many as there are records.
struct Area {
    pg_atomic_uint64 count; // of lowerings
    Number hand;            // goes around the records, looking for one to take
};
constexpr std::size_t line = 64;
static_assert(line % sizeof(Head) == 0);

std::size_t size_of_heads() { return mul_size(sizeof(Head), record_count()); }
std::size_t size_of_records() { return mul_size(sizeof(Record), record_count()); }
std::size_t size_of_area()
{
    // One line for the area, one since memory may begin in the middle of one.
    return add_size(2 * line + size_of_heads(), add_size(size_of_records(), mul_size(sizeof(Number), record_count())));
}
static_assert(sizeof(Area) <= line);

void initialise(void *memory);
constinit Segment<Area> area({.name = "JobsHints", .locks = 1, .size = size_of_area, .initialise = initialise});

char *heads_of(void *memory)
{
    char *behind = static_cast<char *>(memory) + line;
    return behind + (line - reinterpret_cast<std::uintptr_t>(behind) % line) % line;
}
char *records_of(void *memory) { return heads_of(memory) + size_of_heads(); }
Number *buckets_of(void *memory) { return reinterpret_cast<Number *>(records_of(memory) + size_of_records()); }

void initialise(void *memory)
{
    pg_atomic_init_u64(&static_cast<Area *>(memory)->count, 1);
    for (std::size_t i = 0; i < record_count(); ++i) {
        Record &record = reinterpret_cast<Record *>(records_of(memory))[i];
        SpinLockInit(&record.mutex);
        record.next = no_record;
        buckets_of(memory)[i] = no_record;
    }
}

Number &bucket_of(const Lane &lane)
{
    static_assert(sizeof(Lane) == 3 * sizeof(std::uint32_t)); // no bytes between that would be hashed
    const std::uint32_t hash = hash_bytes(reinterpret_cast<const unsigned char *>(&lane), sizeof(lane));
    return buckets_of(&*area)[hash % record_count()];
}

// To be called under the lock of the area.
Number find_in_bucket(const Lane &lane)
{
    for (Number number = bucket_of(lane); number != no_record; number = record_at(number).next)
        if (record_at(number).lane == lane)
            return number;
    return no_record;
}

// Where this process found the lanes that it used last.
struct Known {
    Lane lane;
    Number number;
};
std::array<Known, 64> known;

Known &known_of(const Lane &lane) { return known[static_cast<std::uint32_t>(lane.lane) % known.size()]; }

// Takes the record out of its bucket, if it is in one.
void unlink_record(Number number)
{
    Record &record = record_at(number);
    if (!OidIsValid(record.lane.database))
        return;
    Number *link = &bucket_of(record.lane);
    while (*link != number)
        link = &record_at(*link).next;
    *link = record.next;
}

// A record that nobody has read since the hand came by last; none: all that it came to were in use.
Number victim()
{
    constexpr int most = 32;
    for (int i = 0; i < most; ++i) {
        const Number number = area->hand;
        area->hand = (number + 1) % settings::max_hinted_lanes;
        if (!head_at(number).take_read())
            return number;
    }
    return no_record;
}

} // namespace

void Head::begin()
{
    write({});
    pg_atomic_fetch_add_u32(&owner_, 2);
}

void Head::write(const logic::LaneHead &head)
{
    pg_atomic_write_u32(&version_, pg_atomic_read_u32(&version_) + 1);
    pg_write_barrier();
    pg_atomic_write_u64(&until_, static_cast<std::uint64_t>(head.until));
    pg_atomic_write_u64(&time_, head.first.time);
    pg_atomic_write_u64(&id_, head.first.id);
    pg_write_barrier();
    pg_atomic_write_u32(&version_, pg_atomic_read_u32(&version_) + 1);
}

void request_records() { area.request(); }

bool has_records() { return area && settings::max_hinted_lanes > 0; }

std::size_t record_count() { return static_cast<std::size_t>(settings::max_hinted_lanes); }

Record &record_at(Number number) { return reinterpret_cast<Record *>(records_of(&*area))[number]; }

Head &head_at(Number number) { return reinterpret_cast<Head *>(heads_of(&*area))[number]; }

logic::LoweringCount lowering_count() { return pg_atomic_read_u64(&area->count); }

logic::LoweringCount next_count() { return pg_atomic_add_fetch_u64(&area->count, 1); }

RecordsStay::RecordsStay() : lock_(area.lock(), LW_SHARED) {}

Number find(const Lane &lane)
{
    Known &last = known_of(lane);
    if (last.lane == lane)
        return last.number;
    RecordsStay stay;
    const Number number = find_in_bucket(lane);
    if (number != no_record)
        last = {lane, number};
    return number;
}

void forget_where(const Lane &lane) { known_of(lane) = {}; }

Number make(const Lane &lane)
{
    HeldLock lock(area.lock());
    if (const Number number = find_in_bucket(lane); number != no_record)
        return number; // another session was first
    const Number number = victim();
    if (number == no_record)
        return no_record;
    unlink_record(number);
    Record &record = record_at(number);
    {
        SpinLock mutex(record);
        record.lane = lane;
        record.hints.begin(next_count());
        record.healing = {};
        record.healing.begin_anew();
        head_at(number).begin();
    }
    Number &bucket = bucket_of(lane);
    record.next = std::exchange(bucket, number);
    known_of(lane) = {lane, number};
    return number;
}

} // namespace shared::hints
