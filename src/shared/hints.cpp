#include "shared/hints.hpp"

#include <algorithm>
#include <utility>

#include "settings.hpp"
#include "shared/segment.hpp"

namespace shared::hints {

namespace {

using Number = std::int32_t; // of a record, or no_record
constexpr Number no_record = -1;

struct Lane {
    Oid database, table; // InvalidOid: nobody's
    std::int32_t lane;

    friend bool operator==(const Lane &, const Lane &) = default;
};

struct Record {
    slock_t mutex; // of what follows, up to `next`
    Lane lane;
    std::array<logic::Hint, logic::rank_count> hints;
    bool was_raised; // since take_raised()
    // Under the lock of the area.
    Number next; // in its bucket
    // Written without a lock: at worst a record that is in use goes.
    bool was_read;
};

struct Area {
    pg_atomic_uint64 count; // of lowerings
    Number hand;            // goes around the records, looking for one to evict
    Record records[FLEXIBLE_ARRAY_MEMBER];
};

// The buckets of the hash table stand behind the records: as many as there are records.
std::size_t record_count() { return static_cast<std::size_t>(settings::max_hinted_lanes); }
std::size_t size_of_records() { return add_size(offsetof(Area, records), mul_size(sizeof(Record), record_count())); }
std::size_t size_of_area() { return add_size(size_of_records(), mul_size(sizeof(Number), record_count())); }

Number *buckets_of(Area *area)
{
    return reinterpret_cast<Number *>(reinterpret_cast<char *>(area) + size_of_records());
}

void initialise(void *memory)
{
    auto area = static_cast<Area *>(memory);
    pg_atomic_init_u64(&area->count, 1);
    for (std::size_t i = 0; i < record_count(); ++i) {
        Record &record = area->records[i];
        SpinLockInit(&record.mutex);
        record.next = no_record;
        buckets_of(area)[i] = no_record;
    }
}

constinit Segment<Area> area({.name = "JobsHints", .locks = 1, .size = size_of_area, .initialise = initialise});

bool has_records() { return area && settings::max_hinted_lanes > 0; }

Record &record_at(Number number) { return area->records[number]; }

Number &bucket_of(const Lane &lane)
{
    static_assert(sizeof(Lane) == 3 * sizeof(std::uint32_t)); // no bytes between that would be hashed
    const std::uint32_t hash = hash_bytes(reinterpret_cast<const unsigned char *>(&lane), sizeof(lane));
    return buckets_of(&*area)[hash % record_count()];
}

class SpinLock {
public:
    explicit SpinLock(Record &record) : mutex_(&record.mutex) { SpinLockAcquire(mutex_); }
    ~SpinLock() { SpinLockRelease(mutex_); }
    SpinLock(const SpinLock &) = delete;
    SpinLock &operator=(const SpinLock &) = delete;

private:
    slock_t *mutex_;
};

logic::LoweringCount next_count() { return pg_atomic_add_fetch_u64(&area->count, 1); }

// To be called under the lock of the area. What follows reads the record by its number, so that it may be another
// lane's by then: it compares.
Number find(const Lane &lane)
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

Number find_quickly(const Lane &lane)
{
    Known &last = known_of(lane);
    if (last.lane == lane)
        return last.number;
    HeldLock lock(area.lock(), LW_SHARED);
    const Number number = find(lane);
    if (number != no_record)
        last = {lane, number};
    return number;
}

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
        if (!std::exchange(record_at(number).was_read, false))
            return number;
    }
    return no_record;
}

// Gives the lane a record that knows nothing yet.
Number make(const Lane &lane)
{
    HeldLock lock(area.lock());
    if (const Number number = find(lane); number != no_record)
        return number; // another session was first
    const Number number = victim();
    if (number == no_record)
        return no_record;
    unlink_record(number);
    Record &record = record_at(number);
    {
        SpinLock mutex(record);
        record.lane = lane;
        const logic::LoweringCount count = next_count();
        for (logic::Hint &hint : record.hints)
            hint.begin(count);
    }
    Number &bucket = bucket_of(lane);
    record.next = std::exchange(bucket, number);
    known_of(lane) = {lane, number};
    return number;
}

// Calls `use(record)` under its lock, if the record is the lane's; else forgets where it was. False: it is not.
template <class Use>
bool with_record(const Lane &lane, Number number, Use use)
{
    if (number == no_record)
        return false;
    Record &record = record_at(number);
    {
        SpinLock mutex(record);
        if (record.lane == lane) {
            use(record);
            return true;
        }
    }
    known_of(lane) = {};
    return false;
}

// Calls `use(record)`, looking once more where what this process remembered is over.
template <class Use>
bool with_lane(const Lane &lane, Use use)
{
    return with_record(lane, find_quickly(lane), use) || with_record(lane, find_quickly(lane), use);
}

Lane lane_of(Oid table, std::int32_t lane) { return {MyDatabaseId, table, lane}; }

logic::Hint &hint_of(Record &record, std::int16_t rank)
{
    return record.hints[static_cast<std::size_t>(rank - logic::best_rank)];
}

void copy_places(const Record &record, Places &places)
{
    std::transform(record.hints.begin(), record.hints.end(), places.begin(),
                   [](const logic::Hint &hint) { return hint.place(); });
}

} // namespace

void request_hints() { area.request(); }

logic::LoweringCount count_lowerings()
{
    if (!has_records())
        return 0;
    const logic::LoweringCount count = pg_atomic_read_u64(&area->count);
    pg_memory_barrier(); // the snapshot is taken after it
    return count;
}

bool read(Oid table, std::int32_t lane_number, Places &places)
{
    if (!has_records())
        return false;
    const Lane lane = lane_of(table, lane_number);
    auto copy = [&](Record &record) {
        copy_places(record, places);
        record.was_read = true;
    };
    return with_lane(lane, copy);
}

void make_room(Oid table, std::int32_t lane)
{
    if (has_records())
        make(lane_of(table, lane));
}

void raise(const List &list, const logic::Place &to, logic::LoweringCount since)
{
    if (has_records() && since > 0)
        with_lane(lane_of(list.table, list.lane), [&](Record &record) {
            hint_of(record, list.rank).raise(to, since);
            record.was_raised = true;
        });
}

void lower(const List &list, const logic::Place &to)
{
    if (has_records())
        with_lane(lane_of(list.table, list.lane),
                  [&](Record &record) { hint_of(record, list.rank).lower(to, next_count()); });
}

std::optional<Raised> take_raised(Number &number)
{
    while (has_records() && number < settings::max_hinted_lanes) {
        Record &record = record_at(number++);
        SpinLock mutex(record);
        if (record.lane.database != MyDatabaseId || !std::exchange(record.was_raised, false))
            continue;
        Raised raised = {record.lane.table, record.lane.lane, {}};
        copy_places(record, raised.places);
        return raised;
    }
    return std::nullopt;
}

void forget()
{
    if (!has_records())
        return;
    HeldLock lock(area.lock(), LW_SHARED); // so that no lane gets a record meanwhile
    for (std::size_t i = 0; i < record_count(); ++i) {
        Record &record = area->records[i];
        SpinLock mutex(record);
        if (record.lane.database == MyDatabaseId) {
            const logic::LoweringCount count = next_count();
            for (logic::Hint &hint : record.hints)
                hint.begin(count);
        }
    }
}

} // namespace shared::hints
