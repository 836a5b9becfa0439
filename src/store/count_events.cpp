// The follower that counts: what a change of a job adds to the statistics of its type. It notes in memory of this
// process what happened, which is told at commit (shared/own_counts.hpp), and writes no row.
#include "shared/own_counts.hpp"
#include "shared/statistics.hpp"
#include "store/lanes.hpp"
#include "store/transition.hpp"

namespace store {

namespace {

using logic::Event;
using logic::Item;
using logic::Phase;
using logic::Status;

// The lane that the keys of a job name; nothing: it is running, or held.
std::optional<std::int32_t> lane_in_keys(const Keys &keys)
{
    for (const DerivedTable table : {DerivedTable::queue, DerivedTable::ended})
        if (keys[table] && lane_in(*keys[table]) != logic::running_lane)
            return lane_in(*keys[table]);
    return std::nullopt;
}

Phase phase_of(const Row &row) { return logic::state_of_status(row.status()).phase; }

logic::QueuePlace place_in_queue(const Key &row)
{
    return {DatumGetInt16(row.value[1]), place_of(time_in(row), DatumGetUUIDP(row.value[3]))};
}

// Counts under one lane: that of the job after the change, or of one that is gone.
class Counter {
public:
    explicit Counter(std::int32_t lane) : table_(lanes::table()), lane_(lane) {}

    void operator()(Item item, int number = 1) const { shared::own_counts::count(table_, lane_, item, number); }
    void operator()(Event event) const { (*this)(Item::of(event)); }
    // `by`: one row of the queue more, or one less; 0: it has moved within its part, and nobody wanted to know from
    // where to where.
    void depth(const Key &row, int by) const
    {
        const Item item = lane_in(row) == logic::running_lane ? Item::running() : Item::waiting();
        std::optional<logic::QueuePlace> at;
        if (by != 0 && shared::own_counts::wants_places())
            at = place_in_queue(row);
        shared::own_counts::count(table_, lane_, item, by, at);
    }

private:
    Oid table_;
    std::int32_t lane_;
};

logic::Histogram::Span span_between(std::optional<TimestampTz> from, std::optional<TimestampTz> to)
{
    std::int64_t span;
    // An owner may have written an infinite time.
    return from && to && !pg_sub_s64_overflow(*to, *from, &span) ? span : 0;
}

// How an attempt ended, and how long it ran. One that was given back, to be paused or not, is released; one that waits
// for its children from now on is neither.
void count_end_of_attempt(const Counter &count, const Row &before, const Row &after, const EndedAttempt &ended)
{
    count(Item::run(span_between(before.time(Column::started_at), ended.at)));
    if (ended.outcome == AttemptOutcome::lease_expired || ended.outcome == AttemptOutcome::timed_out)
        count(Event::reaped);
    if (ended.outcome == AttemptOutcome::released && !logic::has_ended(after.status()))
        count(Event::released);
}

bool did_not_succeed(const EndedAttempt &ended)
{
    return ended.outcome == AttemptOutcome::failed || ended.outcome == AttemptOutcome::lease_expired ||
           ended.outcome == AttemptOutcome::timed_out;
}

void count_end_of_job(const Counter &count, const Transition &change)
{
    switch (change.after->status()) {
    case Status::completed:
        return count(Event::completed);
    case Status::failed:
        return count(Event::failed);
    default:
        count(Event::cancelled);
    }
    // One that somebody cancels between its time and upkeep's look has expired as well.
    const std::optional<Key> &expiring = change.was[DerivedTable::expiring];
    if (expiring && time_in(*expiring) <= change.after->time(Column::finished_at).value_or(DT_NOBEGIN))
        count(Event::expired);
}

// From one state to another.
void count_move(const Counter &count, const Transition &change)
{
    const Row &before = *change.before, &after = *change.after;
    const Phase from = phase_of(before), to = phase_of(after);
    if (to == Phase::running && from != Phase::running) {
        count(Event::claimed);
        count(Item::wait(span_between(before.time(Column::run_at), after.time(Column::started_at))));
    }
    if (change.ended)
        count_end_of_attempt(count, before, after, *change.ended);
    if (to == Phase::ended && from != Phase::ended)
        count_end_of_job(count, change);
    if (to == Phase::waiting && (from == Phase::ended || (change.ended && did_not_succeed(*change.ended))))
        count(Event::retried);
}

// Whether a job has gone over to another type, as its owner may say by an UPDATE.
bool changes_type(const Transition &change)
{
    return change.before != nullptr && change.after != nullptr &&
           change.before->text(Column::job_type) != change.after->text(Column::job_type);
}

// One side of a change: the row of the queue before it, or after it. `by` as above.
void count_row(const std::optional<Key> &row, const Row *job, std::optional<std::int32_t> lane, int by)
{
    if (!row)
        return;
    if (lane_in(*row) != logic::running_lane)
        lane = lane_in(*row);
    else if (!lane)
        lane = lanes::find_lane_of(job->text(Column::job_type));
    if (lane)
        Counter(*lane).depth(*row, by);
}

} // namespace

// A row that only moves within its part (a heartbeat, another run_at) counts as well, because it may move past the
// place that a count has come to: where no places are wanted it leaves one note for all rows that move, which makes the
// count doubtful if there is one at commit.
void count_depth(const Transition &change)
{
    if (!shared::statistics::are_kept())
        return;
    const std::optional<Key> &was = change.was[DerivedTable::queue], &is = change.is[DerivedTable::queue];
    std::optional<std::int32_t> lane;
    if (!changes_type(change)) {
        if (was && is && same_key(*was, *is))
            return;
        lane = lane_in_keys(change.is);
        if (!lane)
            lane = lane_in_keys(change.was);
        if (was && is && lane_in(*was) == lane_in(*is) && !shared::own_counts::wants_places())
            return count_row(is, change.after, lane, 0);
    }
    count_row(was, change.before, lane, -1);
    count_row(is, change.after, lane, 1);
}

void count_events(const Transition &change)
{
    if (!shared::statistics::are_kept())
        return;
    const bool is_new = change.before == nullptr, is_gone = change.after == nullptr;
    std::optional<std::int32_t> lane = lane_in_keys(change.is);
    if (!lane)
        lane = lane_in_keys(change.was);
    const bool same_status = !is_new && !is_gone && change.before->status() == change.after->status();
    count_depth(change);
    if (same_status && !change.ended)
        return; // a heartbeat, for example
    if (!lane)
        lane = lanes::find_lane_of((is_gone ? change.before : change.after)->text(Column::job_type));
    if (!lane)
        return; // held, and of a type that has no lane yet: the first that waits makes it
    const Counter count(*lane);
    if (is_new && phase_of(*change.after) != Phase::ended)
        count(Event::enqueued);
    if (!is_new && !is_gone)
        count_move(count, change);
}

} // namespace store
