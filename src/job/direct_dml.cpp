// Our triggers: what an INSERT, UPDATE, DELETE or TRUNCATE on `jobs` means, whoever runs it. BEFORE ROW stamps what the
// server owns and refuses illegal moves, AFTER ROW keeps the derived tables in step with what was really written.
//
// Who meets here:
// - A verb on the statement path. Its intent says what it means (store/statement.hpp); the triggers change no more.
// - Two clients that update one job. Postgres makes the second wait for the first, and in READ COMMITTED evaluates its
//   statement again over the newest version; the BEFORE trigger gets that version as `before`. So the move is judged by
//   the newest state, and two clients can't claim the same job (direct_update.hpp).
// - Triggers of the user's. One that fires before ours may change the row: we judge what it made of it. One that fires
//   after our BEFORE trigger may change the row once more: so AFTER ROW goes by what was written. One that updates or
//   deletes the very job makes the version that fired us an old one: so AFTER ROW looks for the newest one
//   (keep_in_step()).
// - A claim or a build in another session. The statement holds ROW EXCLUSIVE on `jobs`, which keeps a build away, and
//   the row that it wrote, which a claim skips.
// All that is written is rolled back with the row, to a savepoint as well; what is told to others waits for the commit.
//
// Errors: 39P01 where a trigger of the user's names one of these functions, 42804 where a table is not as the code
// relies on, 23502, 22023, PT409 and PT413 for what a client may not write.
#include "job/direct_insert.hpp"
#include "job/direct_update.hpp"
#include "job/triggers.hpp"
#include "store/attempts.hpp"
#include "store/rebuild.hpp"
#include "store/statement.hpp"
#include "store/steps.hpp"
#include "store/transition.hpp"

namespace job {

namespace {

using store::Operation;
using store::Row;
using store::Tables;

store::Keys keys_of(const Row *row) { return row != nullptr ? store::keys_of(*row) : store::Keys{}; }

// Lets follow what follows from `before` becoming `after`.
//
// The race is with this session itself: the statement takes the job from version 1 to 2, an AFTER trigger of the user's
// from 2 to 3. Where theirs fires before ours, ours runs for "2 to 3" first and for "1 to 2" afterwards, and both times
// finds version 3. "2 to 3" puts the keys of 3, though those of 2 are not there to be moved. "1 to 2" is followed as 1
// to 3: it takes away the keys of 1, leaves those of 3, which are there, and takes away any of 2 that 3 does not have.
// Derived::move() copes, since it looks for each key before it puts or removes it. How many jobs wait and run is a sum,
// which can't look: it has to come to "1 to 2" and "2 to 3", in any order. So what was followed too far is counted
// back, "3 to 2".
void keep_in_step(const Tables &tables, Relation jobs, const Row *before, const Row *after,
                  const std::optional<store::EndedAttempt> &ended = {})
{
    pg::Slot slot(jobs);
    store::Derived derived;
    const std::optional<Row> now = triggers::find_job(tables, jobs, (before != nullptr ? before : after)->id(), slot);
    const Row *latest = now ? &*now : nullptr;
    if (before != nullptr || latest != nullptr)
        store::follow(derived, before, latest, ended);
    // Where the version that was written is not the newest any more, no key of it may stay.
    const store::Keys written = keys_of(after), newest = keys_of(latest);
    if (after != nullptr)
        derived.move(written, newest);
    store::count_depth({latest, after, newest, written});
}

} // namespace

JOBS_FUNCTION(jobs_before_row)
{
    const Tables tables = store::tables(); // a copy: code of the user's in here may have them described anew
    TriggerData *trigger = triggers::context_of(fcinfo, store::ApiTable::jobs, [](TriggerEvent event) {
        return (event & triggers::when_bits) == triggers::before_row && !TRIGGER_FIRED_BY_DELETE(event);
    });
    if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event)) {
        HeapTuple stamped = stamp_insert(tables, trigger);
        if (stamped != nullptr)
            pg::clear_page_for(trigger->tg_relation, stamped); // as a direct insert does
        return PointerGetDatum(stamped);
    }
    return PointerGetDatum(judge_update(tables, trigger));
}

JOBS_FUNCTION(jobs_after_row)
{
    const Tables tables = store::tables();
    TriggerData *trigger = triggers::context_of(fcinfo, store::ApiTable::jobs, [](TriggerEvent event) {
        return (event & triggers::when_bits) == triggers::after_row;
    });
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    const bool inserted = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
    const bool updated = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);

    // The row that fired us has to be visible, and what triggers before ours did.
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    const Row first = triggers::read_tuple(tables, trigger->tg_trigtuple, descriptor);
    const bool known = !store::null_in(first); // a job without a value that every job has stands in no derived table
    if (inserted) {
        store::require_complete(first);
        store::statement::report(tables.jobs, Operation::insert, first, nullptr);
        keep_in_step(tables, trigger->tg_relation, nullptr, &first);
    } else if (updated) {
        const Row after = triggers::read_tuple(tables, trigger->tg_newtuple, descriptor);
        store::require_complete(after);
        const Row *meant =
            store::statement::report(tables.jobs, Operation::update, after, &trigger->tg_trigtuple->t_self);
        std::optional<store::EndedAttempt> ended;
        if (meant != nullptr && !(known && goes_on(first, after))) // a trigger after ours may have kept the job running
            ended = meant->ended;
        else if (meant == nullptr && known && !triggers::is_replica()) // rows of job_attempts come from there as well
            ended = attempt_ended_by(first, after);
        keep_in_step(tables, trigger->tg_relation, known ? &first : nullptr, &after, ended);
    } else if (known) {
        keep_in_step(tables, trigger->tg_relation, &first, nullptr);
    }
    PopActiveSnapshot();
    CommandCounterIncrement(); // the next event of the statement finds the keys
    return PointerGetDatum(nullptr);
}

JOBS_FUNCTION(jobs_after_truncate)
{
    triggers::context_of(fcinfo, store::ApiTable::jobs, [](TriggerEvent event) {
        return (event & triggers::when_bits) == triggers::after_statement && TRIGGER_FIRED_BY_TRUNCATE(event);
    });
    store::empty_derived();
    // The last, since code of the user's may run in them.
    store::steps::remove_all();
    store::attempts::remove_all();
    return PointerGetDatum(nullptr);
}

} // namespace job
