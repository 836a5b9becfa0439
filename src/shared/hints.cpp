#include "shared/hints.hpp"

#include <algorithm>
#include <limits>

#include "settings.hpp"
#include "shared/hint_records.hpp"

namespace shared::hints {

void request_hints() { request_records(); }

logic::LoweringCount count_lowerings()
{
    if (!has_records())
        return 0;
    const logic::LoweringCount count = lowering_count();
    pg_memory_barrier(); // the snapshot is taken after it
    return count;
}

bool read(Oid table, std::int32_t lane_number, Places &places)
{
    return has_records() && with_lane(lane_of(table, lane_number), [&](Record &record, Number number) {
               places = record.hints.places();
               head_at(number).note_read();
           });
}

void make_room(Oid table, std::int32_t lane)
{
    if (has_records())
        make(lane_of(table, lane));
}

namespace {

std::size_t number_of(std::int16_t rank) { return static_cast<std::size_t>(rank - logic::best_rank); }

// Under the lock of the record. Most changes of hints leave the head as it is.
template <class Change>
void change_head(Number number, Change change)
{
    Head &head = head_at(number);
    const logic::LaneHead before = head.written();
    logic::LaneHead after = before;
    change(after);
    if (after.until != before.until || after.first != before.first)
        head.write(after);
}

void raise_record(Record &record, Number number, const List &list, const logic::Place &to, logic::LoweringCount since)
{
    const std::size_t rank = number_of(list.rank);
    if (!record.hints.raise(rank, to, since))
        return;
    ++record.healing.rises;
    change_head(number, [&](logic::LaneHead &head) { head.raised(rank, record.hints.place(rank)); });
}

// For tests: past jobs that are there, or all of them.
void raise_too_far(Record &record, Number number, const List &list, const logic::Place &to)
{
    constexpr int far = 10; // seconds
    const auto seconds = static_cast<int>(pg_prng_uint64_range(&pg_global_prng_state, 0, far));
    const bool past_all = seconds == far || to.due_at > logic::after_all.due_at - far * USECS_PER_SEC;
    raise_record(record, number, list,
                 past_all ? logic::after_all : logic::first_place(to.due_at + seconds * USECS_PER_SEC),
                 std::numeric_limits<logic::LoweringCount>::max());
}

bool is_to_be_spoiled()
{
    constexpr int all = 1000;
    return settings::spoil_hints > 0 &&
           pg_prng_uint64_range(&pg_global_prng_state, 1, all) <= static_cast<std::uint64_t>(settings::spoil_hints);
}

} // namespace

void raise(const List &list, const logic::Place &to, logic::LoweringCount since)
{
    if (has_records() && since > 0)
        with_lane(lane_of(list.table, list.lane), [&](Record &record, Number number) {
            raise_record(record, number, list, to, since);
            if (is_to_be_spoiled())
                raise_too_far(record, number, list, to);
        });
}

void lower(const List &list, const logic::Place &to)
{
    if (has_records())
        with_lane(lane_of(list.table, list.lane), [&](Record &record, Number number) {
            const std::size_t rank = number_of(list.rank);
            record.hints.lower(rank, to, next_count());
            change_head(number, [&](logic::LaneHead &head) { head.lowered(rank, record.hints.place(rank)); });
        });
}

std::optional<logic::LaneHead> renew(Oid table, LaneSpot &lane, logic::Instant now, logic::Ranks ranks, Places &places)
{
    logic::LaneHead head;
    if (has_records() && with_lane(lane_of(table, lane.lane), [&](Record &record, Number number) {
            places = record.hints.places();
            head = logic::LaneHead::of(places, now, ranks);
            head_at(number).write(head);
            lane.record = number;
            lane.owner = head_at(number).owner();
            head_at(number).note_read();
        }))
        return head;
    lane.record = no_record;
    return std::nullopt;
}

namespace {

// Without a lock. False: it does not say where the first job stands that is due at `now`, or it says nothing of the
// lane.
bool read_head(Head *heads, const LaneSpot &lane, logic::Instant now, logic::LaneHead &head)
{
    if (lane.record == no_record || !heads[lane.record].read(lane.owner, head) || !head.holds_at(now))
        return false;
    heads[lane.record].note_read();
    return true;
}

} // namespace

std::optional<logic::LaneHead> glance(Oid table, LaneSpot &lane, logic::Instant now, logic::Ranks ranks)
{
    logic::LaneHead head;
    if (!has_records())
        return std::nullopt;
    if (read_head(&head_at(0), lane, now, head))
        return head;
    Places places;
    return renew(table, lane, now, ranks, places);
}

namespace {

// The same under the lock, and gives the lane a record. Nothing: there is no room for one, and `is_full` says so from
// now on, so that the next ones need not look.
std::optional<logic::LaneHead> look_up(Oid table, LaneSpot &lane, logic::Instant now, bool &is_full)
{
    Places places;
    std::optional<logic::LaneHead> head = renew(table, lane, now, logic::all_ranks, places);
    if (!head && !is_full) {
        is_full = make(lane_of(table, lane.lane)) == no_record;
        head = renew(table, lane, now, logic::all_ranks, places);
    }
    return head;
}

} // namespace

FoundDue find_due(Oid table, std::span<LaneSpot> lanes, logic::Instant now, DueLane *due)
{
    constexpr logic::LaneHead anything = {logic::after_all.due_at, logic::first_of_all};
    FoundDue found = {0, logic::after_all.due_at};
    bool is_full = !has_records();
    Head *heads = is_full ? nullptr : &head_at(0);
    for (LaneSpot &lane : lanes) {
        logic::LaneHead head;
        if (heads == nullptr || !read_head(heads, lane, now, head))
            head = look_up(table, lane, now, is_full).value_or(anything);
        if (head.has_none())
            found.next = std::min(found.next, head.until);
        else
            due[found.count++] = {lane.lane, -1, head.first};
    }
    return found;
}

std::optional<Raised> next_raised(Number &number, bool all)
{
    while (has_records() && number < settings::max_hinted_lanes) {
        Record &record = record_at(number++);
        // Without the lock first, because most records have nothing to be healed: what has risen just now comes in the
        // next round.
        if (record.lane.database != MyDatabaseId || (!all && record.healing.rises == record.healing.healed))
            continue;
        SpinLock mutex(record);
        Healing &healing = record.healing;
        if (record.lane.database != MyDatabaseId)
            continue;
        if (!healing.is_under_way())
            healing.begun = healing.rises;
        return Raised{record.lane.table, record.lane.lane, record.hints.places(), healing.rank, healing.place};
    }
    return std::nullopt;
}

void keep_healing(const Raised &raised)
{
    if (has_records())
        with_lane(lane_of(raised.table, raised.lane), [&](Record &record, Number) {
            record.healing.rank = raised.rank;
            record.healing.place = raised.place;
        });
}

void was_healed(const Raised &raised)
{
    if (has_records())
        with_lane(lane_of(raised.table, raised.lane), [&](Record &record, Number) {
            record.healing.healed = record.healing.begun;
            record.healing.begin_anew();
        });
}

void forget()
{
    if (!has_records())
        return;
    RecordsStay stay;
    for (std::size_t i = 0; i < record_count(); ++i) {
        const auto number = static_cast<Number>(i);
        Record &record = record_at(number);
        if (record.lane.database != MyDatabaseId)
            continue;
        SpinLock mutex(record);
        record.hints.begin(next_count());
        head_at(number).write({});
    }
}

} // namespace shared::hints
