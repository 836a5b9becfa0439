#include "verbs/claim.hpp"

#include "call/privileges.hpp"
#include "call/wait_loop.hpp"
#include "job/moves.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "store/async_commit.hpp"
#include "store/best_first.hpp"
#include "store/lane_set.hpp"
#include "store/lanes.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;

// The names in a text[].
std::span<Datum> names_in(Datum array)
{
    Datum *names;
    int count;
    deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
    return {names, static_cast<std::size_t>(count)};
}

// What became of a candidate. `left`: nothing is to be had of it, now or at a second look; `busy`: another transaction
// has locked it; `changed`: another transaction has changed it since the snapshot.
enum class Take { taken, left, busy, changed };

// Takes one candidate, if it is still what the queue says, and puts it into `sink`. No other session can take it as
// well: try_lock() succeeds for the newest version of the row alone, and the lock lasts until the end of the
// transaction. The queue's row needs no lock, because a session changes it only after the row of `jobs`
// (store/key_table.hpp).
Take take_candidate(Jobs &jobs, const ClaimRequest &request, const store::Candidate &candidate, TimestampTz now,
                    pg::RowSink &sink)
{
    const std::optional<Row> before = jobs.find(&candidate.job);
    if (!before) {
        jobs.derived().remove_orphan(jobs.derived().queue(), store::queue_key_of(candidate.key, &candidate.job));
        return Take::left;
    }

    switch (jobs.try_lock()) {
    case Jobs::Lock::busy:
        return Take::busy;
    case Jobs::Lock::changed:
        return Take::changed;
    case Jobs::Lock::taken:
        break;
    }
    ItemPointerData queue_row = candidate.tid;
    // Queue and job are of one snapshot, and the job is the newest version: where they differ the queue is wrong, by a
    // defect of ours or by a superuser's hand. The row goes, else it would stand before the others in each claim; the
    // audit puts back the right one.
    if (store::queue_key(*before) != candidate.key) {
        jobs.derived().remove_wrong(jobs.derived().queue(), store::queue_key_of(candidate.key, &candidate.job));
        return Take::left;
    }

    Row after = *before;
    after.changed = 0;
    const bool expired = store::may_expire(*before) && *before->time(Column::expires_at) <= now;
    const bool worn_out = !job::moves::may_start(*before);
    if (expired)
        job::moves::cancel(after, now, CStringGetTextDatum("expired before it was started"));
    else if (worn_out) // claim() would raise 22003, and this job would make each claim of its lane fail
        job::moves::give_up(after, now, CStringGetTextDatum("it was started as often as can be counted"));
    else
        job::moves::claim(after, store::types::settings_of(before->text(Column::job_type)), now, request.worker,
                          request.lease);
    // `left` also where a trigger or rule of the user's kept the row from being written: the claim goes on without it.
    if (jobs.update(*before, after, &queue_row) != store::Written::yes || expired || worn_out)
        return Take::left;
    sink.put(after.value.data(), after.null.data());
    return Take::taken;
}

// One pass over the queue under the active snapshot. Returns how many jobs it took. Sets `look_again` where a newer
// snapshot may show more: a candidate had changed since this one, and may be claimable in its new version; or every
// candidate was locked by another session, which may mean no more than that this snapshot is the older one.
int pass(Jobs &jobs, const ClaimRequest &request, store::Hints hints, int wanted, pg::RowSink &sink, bool &look_again)
{
    const TimestampTz now = settings::now();
    store::BestFirst due(jobs.derived().queue(), now, hints);
    due.add_lanes(store::lanes_for(request.job_types, request.category).lanes);
    pg::RowMemory memory;
    int taken = 0;
    bool any_busy = false;
    look_again = false;
    while (auto candidate = due.best()) {
        CHECK_FOR_INTERRUPTS();
        {
            pg::RowMemory::Use use(memory);
            Take outcome = Take::busy;
            if (due.begin_taking()) {
                outcome = take_candidate(jobs, request, *candidate, now, sink);
                due.end_taking(outcome == Take::taken);
            }
            taken += outcome == Take::taken;
            look_again = look_again || outcome == Take::changed;
            any_busy = any_busy || outcome == Take::busy;
        }
        if (taken == wanted)
            break;
        due.advance();
    }
    look_again = look_again || ((any_busy || due.met_changes()) && taken == 0);
    return taken;
}

// The lanes in which a job for this request could come to stand, for the sessions that wake the place. A type that
// never had a job has no lane to name; the wish is vague then, and every job wakes it. Types that are paused are left
// out: the session that ends a pause wakes all sleepers (shared::notes::anything_changed), and each makes its wish
// anew.
shared::Wish wish_of(const ClaimRequest &request)
{
    shared::Wish wish;
    wish.any = !request.job_types && !request.category;
    if (wish.any)
        return wish;
    const store::LaneSet set = store::lanes_for(request.job_types, request.category);
    wish.vague = set.is_vague;
    for (const shared::hints::LaneSpot &lane : set.lanes)
        wish.add(lane.lane);
    return wish;
}

// Arms the place with what the request wants now. The race is with a transaction that changes a type or makes a lane
// between the wish and the arming: at its commit it wakes the places that are armed, and this one is not yet, so it
// would sleep with a wish that has become wrong. Therefore the version of types and lanes is compared after the arming;
// a change from then on finds the place armed. Ten tries, because debug_discard_caches makes every look a change.
void arm_place(shared::Place &place, const ClaimRequest &request)
{
    for (int tries = 0;; ++tries) {
        const std::uint64_t types = store::lanes::version_of_types_and_lanes();
        place.arm(wish_of(request));
        if (store::lanes::version_of_types_and_lanes() == types || tries == 10)
            return;
    }
}

// When the next job for the request will be due that is due later than `looked_at`; DT_NOEND: none waits. The worker is
// told of it, since where nobody sleeps it does not watch what becomes due. A type whose first job makes its lane tells
// of that job itself.
TimestampTz next_due_for(Jobs &jobs, const ClaimRequest &request, TimestampTz looked_at, store::Hints hints)
{
    return store::next_due_of(jobs.derived().queue(), store::lanes_for(request.job_types, request.category).lanes,
                              looked_at, hints);
}

} // namespace

// The order of the lines is what keeps a wake from being lost: arm, new snapshot, look, tell the worker. A job that
// commits before the arming is in that snapshot; one that commits later finds the place armed. A job that is in the
// snapshot and not due yet is the worker's to wake for, so the worker hears when it is due before the session sleeps.
// After ROLLBACK TO SAVEPOINT, an error or a cancel the place is freed by the end of the (sub)transaction
// (shared::sleepers::free_my_place), which hands on a wake that came.
int claim_once(const ClaimRequest &request, const char *verb, pg::RowSink &sink, shared::Place *place, Arm arm)
{
    store::Hints hints = store::note_hints();
    pg::StatementScope scope(verb);
    const bool wrote_before = TransactionIdIsValid(GetTopTransactionIdIfAny());
    Jobs jobs = Jobs::open(call::require_claim);
    if (place != nullptr) {
        if (arm == Arm::anew)
            arm_place(*place, request);
        hints = store::note_hints();
        jobs.renew_snapshot(); // after the arming, so that it shows what was committed before
    }
    const TimestampTz looked_at = settings::now(); // before the look: what becomes due during it is the worker's
    const int taken = claim_jobs(jobs, request, hints, sink);
    if (place != nullptr && taken == 0)
        shared::databases::tell_due(next_due_for(jobs, request, looked_at, hints));
    if (place != nullptr && taken > 0)
        place->took_jobs(shared::notes::took); // hands on the wake if it came for a lane of which nothing was taken
    // A session that sleeps must hold no lock on a table, or an ALTER TABLE would wait for it, and everybody else for
    // the ALTER. Locks may go where nothing was written, and a transaction that has written has an id. One that had
    // written before this call does not show whether the call wrote: it keeps them, and does not sleep anyway.
    if (!wrote_before && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
        jobs.unlock_when_closed();
    return taken;
}

void job_type_list(pg::Nullable &names, const char *argument)
{
    if (!names || store::is_known(names.value))
        return;
    ArrayType *list = DatumGetArrayTypeP(names.value);
    if (ARR_NDIM(list) > 1 || array_contains_nulls(list))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must be a list of names without null", argument)));
    for (Datum name : names_in(names.value))
        store::types::require_registered(pg::text_view(name));
}

int claim_jobs(Jobs &jobs, const ClaimRequest &request, store::Hints hints, pg::RowSink &sink)
{
    // Under load each pass may meet changes of others. What the third one leaves is not lost: another session has just
    // had it in hand, and the sleeper's next wake, the worker's next whole round or the caller's next call meets it.
    constexpr int passes = 3;
    store::unflushed::Bracket bracket;
    int taken = 0;
    for (int i = 0; i < passes; ++i) {
        bool look_again;
        taken += pass(jobs, request, hints, request.max_jobs - taken, sink, look_again);
        if (!look_again || taken == request.max_jobs || IsolationUsesXactSnapshot())
            break;
        hints = store::note_hints();
        jobs.renew_snapshot();
    }
    // On the statement path triggers of the user's may have written as well, and that has to be durable.
    if (jobs.only_direct())
        bracket.close();
    return taken;
}

JOBS_FUNCTION(job_claim)
{
    const ClaimRequest request = call::read_arguments<claim_fields>(fcinfo);
    pg::RowSink sink(fcinfo, store::row_type());
    // Before the first look: a job_release_worker() from here on ends the wait.
    call::Waiting waiting(request.wait, shared::Purpose::claim, false, request.worker);
    while (claim_once(request, "job_claim()", sink, waiting.place()) == 0 && waiting.sleep()) {
    }
    return Datum{0};
}

} // namespace verbs
