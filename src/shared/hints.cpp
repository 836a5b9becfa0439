#include "shared/hints.hpp"

#include <algorithm>
#include <limits>

#include "settings.hpp"
#include "shared/hint_records.hpp"

namespace shared::hints {

void request_hints() { request_records(); }

logic::LoweringCount count_lowerings()
{
    if (!records)
        return 0;
    const logic::LoweringCount count = pg_atomic_read_u64(&records.common().lowerings);
    pg_memory_barrier(); // the snapshot is taken after it
    return count;
}

bool read(Oid table, std::int32_t lane_number, Places &places)
{
    return records && records.with(lane_of(table, lane_number), [&](const Content &content, RecordNumber number) {
        places = content.hints.places();
        head_at(number).note_read();
    });
}

bool make_room(Oid table, std::int32_t lane) { return records && make(lane_of(table, lane)); }

namespace {

std::size_t number_of(std::int16_t rank) { return static_cast<std::size_t>(rank - logic::best_rank); }

// Under the lock of the record. Most changes of hints leave the head as it is.
template <class Change>
void change_head(RecordNumber number, Change change)
{
    Head &head = head_at(number);
    const logic::LaneHead before = head.written();
    logic::LaneHead after = before;
    change(after);
    if (after.until != before.until || after.first != before.first)
        head.write(after);
}

void raise_record(Content &content, RecordNumber number, const List &list, const logic::Place &to,
                  logic::LoweringCount since)
{
    const std::size_t rank = number_of(list.rank);
    if (!content.hints.raise(rank, to, since))
        return;
    ++content.healing.rises;
    change_head(number, [&](logic::LaneHead &head) { head.raised(rank, content.hints.place(rank)); });
}

// For tests: past jobs that are there, or all of them.
void raise_too_far(Content &content, RecordNumber number, const List &list, const logic::Place &to)
{
    constexpr int far = 10; // seconds
    const auto seconds = static_cast<int>(pg_prng_uint64_range(&pg_global_prng_state, 0, far));
    const bool past_all = seconds == far || to.due_at > logic::after_all.due_at - far * USECS_PER_SEC;
    raise_record(content, number, list,
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
    if (records && since > 0)
        records.with(lane_of(list.table, list.lane), [&](Content &content, RecordNumber number) {
            raise_record(content, number, list, to, since);
            if (is_to_be_spoiled())
                raise_too_far(content, number, list, to);
        });
}

void raise_to_first(std::int16_t from, const List &first, const logic::Place &to, logic::LoweringCount since)
{
    if (records && since > 0)
        records.with(lane_of(first.table, first.lane), [&](Content &content, RecordNumber number) {
            for (std::int16_t rank = from; rank < first.rank; ++rank)
                raise_record(content, number, {first.table, first.lane, rank}, logic::after_all, since);
            if (first.rank != no_rank)
                raise_record(content, number, first, to, since);
        });
}

void lower(const List &list, const logic::Place &to)
{
    if (records)
        records.with(lane_of(list.table, list.lane), [&](Content &content, RecordNumber number) {
            const std::size_t rank = number_of(list.rank);
            content.hints.lower(rank, to, next_count());
            change_head(number, [&](logic::LaneHead &head) { head.lowered(rank, content.hints.place(rank)); });
        });
}

std::optional<logic::LaneHead> renew(Oid table, LaneSpot &lane, logic::Instant now, logic::Ranks ranks, Places &places)
{
    logic::LaneHead head;
    if (records && records.with(lane_of(table, lane.lane), [&](const Content &content, RecordNumber number) {
            places = content.hints.places();
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
    if (!records)
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
        is_full = !make_room(table, lane.lane);
        head = renew(table, lane, now, logic::all_ranks, places);
    }
    return head;
}

} // namespace

FoundDue find_due(Oid table, std::span<LaneSpot> lanes, logic::Instant now, DueLane *due)
{
    constexpr logic::LaneHead anything = {logic::after_all.due_at, logic::first_of_all};
    FoundDue found = {0, logic::after_all.due_at};
    bool is_full = !records;
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

std::optional<Raised> next_raised(RecordNumber &number, bool all)
{
    std::optional<Raised> raised;
    if (records)
        records.with_next(
            number, MyDatabaseId,
            // Most records have nothing to be healed; what is rising just now comes in the next round.
            [all](const Content &content) { return all || content.healing.rises != content.healing.healed; },
            [&raised](const Lane &lane, Content &content, RecordNumber) {
                Healing &healing = content.healing;
                if (!healing.is_under_way())
                    healing.begun = healing.rises;
                raised = Raised{lane.table, lane.number, content.hints.places(), healing.rank, healing.place};
            });
    return raised;
}

void keep_healing(const Raised &raised)
{
    if (records)
        records.with(lane_of(raised.table, raised.lane), [&](Content &content, RecordNumber) {
            content.healing.rank = raised.rank;
            content.healing.place = raised.place;
        });
}

void was_healed(const Raised &raised)
{
    if (records)
        records.with(lane_of(raised.table, raised.lane), [&](Content &content, RecordNumber) {
            content.healing.healed = content.healing.begun;
            content.healing.begin_anew();
        });
}

// A lane that gets its record meanwhile, where this has been already, begins with a count that is later than the rows.
void forget()
{
    if (records)
        records.each_of(MyDatabaseId, [](const Lane &, Content &content, RecordNumber number) {
            content.hints.begin(next_count());
            head_at(number).write({});
        });
}

} // namespace shared::hints
