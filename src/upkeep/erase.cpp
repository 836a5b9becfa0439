// What becomes of all that an organisation had, when it is deleted (jobs_ext.bind() puts our trigger on its table) or
// when the owner of the tables says so (jobs_ext.erase_organisation()). ON DELETE CASCADE takes its jobs, in the
// transaction of the DELETE, as Postgres does it. What is in the archive has no foreign key: each job that is archived
// would have to be checked, and the cascade of a large tenant would be one transaction of millions of rows. Instead the
// transaction notes the organisation (store/erasures.hpp), and upkeep erases it batch by batch, each in a transaction
// of its own; so does job_maintain(), where there is no worker. Who says erase_organisation() means `jobs` too.
//
// Who meets here:
//   a job of it goes to the archive at the same time   its row is locked, so the DELETE's cascade waits and finds it
//                                                       gone; the copy is committed before the note is made, and found
//   a deleted organisation comes again                  what it has then is newer than the note, and stays
//   a session works on one of its jobs                  rows that are locked are passed over, and are left for the next
//                                                       batch: nobody waits for a batch, nor a batch for anybody
//   a worker holds a lease of one                       its next call is PT404
//   two processes at the same organisation              each takes rows that the other has not locked
//   jobs still come, as no foreign key keeps them away  it is done when once there are none
//   a crash, a rollback                                 the batch is undone, the note stays
#include "upkeep/erase.hpp"

#include <algorithm>

#include "pg/excerpt.hpp"
#include "pg/extension_function.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "pg/subtransaction.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "store/erasures.hpp"
#include "store/jobs.hpp"
#include "store/owner.hpp"
#include "upkeep/set_aside.hpp"

namespace upkeep {

namespace {

using store::erasures::Erasure;

constexpr int longest_piece_ms = 500;
constexpr int batch_of_call = 1000;  // rows that one erase_organisation() erases by itself
constexpr int most_counted = 100000; // rows that it counts as left
constexpr const char *function = "erase_organisation()";

// The statements are in sql/parts/69_erasing.sql; they run as the owner of `jobs`.
int call_with(const char *name, const Erasure &erasure, int most)
{
    const Oid arguments[] = {UUIDOID, TIMESTAMPTZOID, INT4OID};
    return DatumGetInt32(OidFunctionCall3(pg::extension_function({"jobs_ext", "jobs_ext", name, arguments}),
                                          UUIDPGetDatum(&erasure.organisation),
                                          TimestampTzGetDatum(erasure.archived_until), Int32GetDatum(most)));
}

bool is_known(store::Jobs &jobs, const pg_uuid_t *job)
{
    if (jobs.find(job))
        return true;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(job)}};
    return pg::run_sql("select 1 from public.jobs_archive where id operator(pg_catalog.=) $1 limit 1", parameters, 1) >
           0;
}

// A schedule remembers its last job by id; for its next run a job that is gone is as good as none. A row that a run
// holds is left: that run is about to write another job there.
void forget_in_schedules(store::Jobs &jobs)
{
    constexpr int job_column = 2;
    const pg::OpenRelation table = store::open_private(store::PrivateTable::schedules, RowExclusiveLock);
    pg::Slot locked(table);
    pg::TableWriter writer(table);
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        slot_getallattrs(slot);
        if (slot->tts_isnull[job_column] || is_known(jobs, DatumGetUUIDP(slot->tts_values[job_column])))
            continue;
        ItemPointerData tid = slot->tts_tid;
        TM_FailureData failure;
        if (table_tuple_lock(table, &tid, GetActiveSnapshot(), locked, GetCurrentCommandId(true),
                             LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure) != TM_Ok)
            continue;
        pg::Slot changed(table);
        slot_getallattrs(locked);
        pg::start_row(changed);
        for (int i = 0; i < changed->tts_tupleDescriptor->natts; ++i) {
            changed->tts_values[i] = locked->tts_values[i];
            changed->tts_isnull[i] = locked->tts_isnull[i] || i == job_column;
        }
        ExecStoreVirtualTuple(changed);
        (void)writer.update(&tid, changed);
    }
}

// Nothing is left of an organisation in the tables of the API: what private tables say of its jobs goes too. Which jobs
// those were is known no more, so that of all that are gone goes.
void finish(const Erasure &erasure)
{
    store::Jobs jobs = store::Jobs::open();
    const SetAside set_aside;
    set_aside.each([&](const SetAside::Entry &entry) {
        if (!jobs.find(&entry.job))
            (void)set_aside.forget(&entry.job); // or, while somebody else writes to the list, when its rest is over
    });
    forget_in_schedules(jobs);
    store::erasures::remove(erasure);
}

struct Batch {
    int erased = 0;
    bool is_done = false;
};

Batch erase_batch(const Erasure &erasure, int most)
{
    pg::StatementScope scope(function);
    Batch batch;
    batch.erased = call_with("erase_batch", erasure, most);
    batch.is_done = batch.erased < most && call_with("left_to_erase", erasure, 1) == 0;
    if (batch.is_done) {
        pg::renew_active_snapshot();
        finish(erasure);
    }
    return batch;
}

} // namespace

Counts erase_organisations(Pace &pace)
{
    Counts counts;
    const pg::Moment began = pg::moment();
    ErrorData *first = nullptr;
    bool is_any_done = false;
    for (const Erasure &erasure : store::erasures::all()) {
        ++counts[Count::due];
        if (pg::is_over(began, longest_piece_ms)) {
            counts.more = true;
            break;
        }
        Batch batch;
        const pg::Failure failure = pg::in_subtransaction([&] { batch = erase_batch(erasure, pace.most_jobs); },
                                                          pg::ends_the_call, pg::longest_attempt_ms);
        if (failure.error == nullptr) {
            pace.most_jobs = std::min(piece_size, pace.most_jobs * 2);
            counts[Count::erased] += batch.erased;
            counts.more = counts.more || (batch.erased > 0 && !batch.is_done);
            is_any_done = is_any_done || batch.erased > 0 || batch.is_done;
            continue;
        }
        if (failure.took_too_long)
            pace.most_jobs = std::max(1, pace.most_jobs / 2);
        ereport(WARNING, (errcode(failure.error->sqlerrcode),
                          errmsg("organisation %s could not be erased: %s", store::to_text(&erasure.organisation),
                                 pg::message_excerpt(failure.error->message))));
        first = first != nullptr ? first : failure.error;
    }
    if (first != nullptr && !is_any_done)
        ReThrowError(first);
    return counts;
}

JOBS_FUNCTION(erase_organisation)
{
    const pg::Nullable id = pg::argument(fcinfo, 0);
    if (!id)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("id must not be null")));
    const Erasure erasure = {*DatumGetUUIDP(id.value), DT_NOEND};
    pg::StatementScope scope(function);
    if (!pg::owns_table(store::lock_api_table(store::ApiTable::jobs, AccessShareLock).in_catalogs(), GetUserId()))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("must be owner of table jobs")));
    // Those of the caller's that are deferred; in the owner's context none could fire.
    pg::set_constraints_immediate();
    const store::AsOwnerOfJobs owner;
    store::erasures::ask(erasure, settings::now());
    if (erase_batch(erasure, batch_of_call).is_done)
        return Int64GetDatum(0);
    return Int64GetDatum(call_with("left_to_erase", erasure, most_counted));
}

namespace {

AttrNumber number_of_id(Relation organisations)
{
    const int number = SPI_fnumber(RelationGetDescr(organisations), "id");
    if (number <= 0 || SPI_gettypeid(RelationGetDescr(organisations), number) != UUIDOID)
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("table \"%s\" has no column \"id\" of type uuid any more",
                               RelationGetRelationName(organisations)),
                        errhint("jobs_ext.bind() ties the jobs to another table, jobs_ext.unbind() to none.")));
    return static_cast<AttrNumber>(number);
}

void note_deleted(pg::Nullable id)
{
    if (!id)
        return;
    const TimestampTz now = settings::now();
    store::erasures::ask({*DatumGetUUIDP(id.value), now}, now);
}

void note_all_in(Relation organisations)
{
    const AttrNumber number = number_of_id(organisations);
    pg::TableScan rows(organisations, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        pg::Nullable id = {};
        id.value = slot_getattr(slot, number, &id.null);
        note_deleted(id);
    }
}

// Before TRUNCATE, which holds the table, and its partitions, under ACCESS EXCLUSIVE: what it empties are the rows that
// are there now, also those that an older snapshot does not show.
void note_truncated(Relation organisations)
{
    PushActiveSnapshot(GetLatestSnapshot());
    if (organisations->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) {
        note_all_in(organisations);
    } else {
        ListCell *cell;
        foreach (cell, find_all_inheritors(RelationGetRelid(organisations), NoLock, nullptr)) {
            const pg::OpenRelation partition(table_open(lfirst_oid(cell), NoLock), NoLock);
            if (RELKIND_HAS_STORAGE(partition->rd_rel->relkind))
                note_all_in(partition);
        }
    }
    PopActiveSnapshot();
}

bool is_trigger_of_organisations(TriggerEvent event)
{
    if (TRIGGER_FIRED_BY_TRUNCATE(event))
        return TRIGGER_FIRED_BEFORE(event);
    return TRIGGER_FIRED_BY_DELETE(event) && TRIGGER_FIRED_AFTER(event) && TRIGGER_FIRED_FOR_ROW(event);
}

} // namespace

// AFTER DELETE of a row, and BEFORE TRUNCATE, on the table of organisations. Raises 39P01 elsewhere, 42804 where it has
// no id that is a uuid.
JOBS_FUNCTION(organisation_deleted)
{
    auto trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
    if (!CALLED_AS_TRIGGER(fcinfo) || !is_trigger_of_organisations(trigger->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("this function is a trigger for each row that was deleted of organisations, and before "
                               "they are truncated"),
                        errhint("jobs_ext.bind() makes it.")));
    pg::StatementScope scope(function);
    if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event)) {
        note_truncated(trigger->tg_relation);
        return PointerGetDatum(nullptr);
    }
    pg::Nullable id = {};
    id.value = heap_getattr(trigger->tg_trigtuple, number_of_id(trigger->tg_relation),
                            RelationGetDescr(trigger->tg_relation), &id.null);
    note_deleted(id);
    return PointerGetDatum(nullptr);
}

} // namespace upkeep
