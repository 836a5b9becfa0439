#include "store/attempts.hpp"

#include "pg/as_owner.hpp"
#include "pg/heap.hpp"
#include "pg/plan.hpp"
#include "store/transition.hpp"
#include "store/types.hpp"

namespace store::attempts {

namespace {

// How many of the first attempts and of the last ones go into the archive. The first show how it began, the last why it
// ended so. The bytes bound what the numbers do not: an error message may have 64 kB, and details jobs_ext.max_payload.
constexpr int first_in_json = 10;
constexpr int last_in_json = 90;
constexpr int bytes_in_json = 1024 * 1024; // of either

// In the order of AttemptOutcome.
constexpr std::string_view outcome_names[] = {"failed",    "lease_expired", "timed_out", "released",
                                              "cancelled", "completed",     "blocked"};

std::optional<Outcome> parse_outcome(std::string_view text)
{
    for (std::size_t i = 0; i < std::size(outcome_names); ++i)
        if (outcome_names[i] == text)
            return static_cast<Outcome>(i);
    return std::nullopt;
}

// The key, by the numbers that the columns have in a table that is as we make it.
constexpr AttrNumber by_attempt[] = {1, 2}; // job, attempt

pg::OpenRelation open_index(Relation table, LOCKMODE lock)
{
    return open_key(table, static_cast<int>(std::size(by_attempt)), lock);
}

// Whether the columns are those of attempts_columns, in that order and no others. A direct write goes by position.
bool is_as_made(Relation table)
{
    bool as_made = table->rd_att->natts == static_cast<int>(std::size(attempts_columns));
    for (std::size_t i = 0; as_made && i < std::size(attempts_columns); ++i) {
        Form_pg_attribute attribute = pg::attribute(table->rd_att, static_cast<int>(i) + 1);
        as_made = !attribute->attisdropped && namestrcmp(&attribute->attname, attempts_columns[i].name) == 0 &&
                  attribute->atttypid == attempts_columns[i].type &&
                  attribute->attnotnull == ((attempts_columns[i].traits & not_null) != 0) && attribute->atttypmod < 0;
    }
    return as_made;
}

constexpr Check checks_of_ours[] = {{"check_outcome", [] { return is_text_in("outcome", outcome_names); }}};

// Whether the table is reached by SQL alone, as its owner: it was altered, or carries a trigger, a rule, a CHECK of the
// user's, or an expression or predicate of an index. The direct path runs nothing of the user's, so it needs no owner.
bool needs_statement(Relation table)
{
    return !is_as_made(table) || !pg::has_unique_index(table, by_attempt) || table->rd_rules != nullptr ||
           (table->trigdesc != nullptr && table->trigdesc->numtriggers > 0) ||
           has_check_of_theirs(table, checks_of_ours) || has_computed_index(table);
}

// Open and looked at. Until it is closed its columns stay as they are: other sessions wait for the lock, and this
// session, in a trigger of the user's, gets 55006.
struct Attempts {
    explicit Attempts(LOCKMODE lock)
        : table(open_table(ApiTable::job_attempts, lock)), by_statement(is_by_statement(table))
    {
    }

    pg::OpenRelation table;
    bool by_statement;

private:
    static bool is_by_statement(Relation table)
    {
        // Remembered for the process, by the version of the table: the look walks triggers, checks and indexes. 0 is
        // no version; it stays there if the look raises. A change during the look makes the next call look again.
        static bool known = true;
        static std::uint64_t known_at = 0;
        const std::uint64_t now = version_of_table(ApiTable::job_attempts);
        if (known_at != now) {
            known_at = 0;
            known = needs_statement(table);
            known_at = now;
        }
        return known;
    }
};

// `running` is the job's row while the attempt ran: the move may have cleared worker and started_at. The organisation
// is that of the row as it is now, which a trigger of the user's may have changed.
//
// A row of this attempt that a client wrote by hand stays, by both paths: it must not keep the job from ending. Where
// another transaction is inserting such a row, the direct path waits for it, as ON CONFLICT DO NOTHING does; the
// statement raises 23505 then, and the caller has to try again. It names no key for ON CONFLICT, because the owner may
// have dropped it.
void record(const Row &running, const Row &now, const EndedAttempt &ended)
{
    const std::string_view name = outcome_names[static_cast<int>(ended.outcome)];
    const pg::Parameter row[] = {
        {UUIDOID, running.get(Column::id)},
        {INT4OID, running.get(Column::attempt)},
        {TEXTOID, running.get(Column::worker)},
        {TIMESTAMPTZOID, running.get(Column::started_at)},
        {TIMESTAMPTZOID, TimestampTzGetDatum(ended.at)},
        {TEXTOID, PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size())))},
        {TEXTOID, ended.error_message},
        {JSONBOID, ended.error_details},
        {UUIDOID, now.get(Column::organisation_id)},
    };
    const Attempts attempts(RowExclusiveLock);
    if (attempts.by_statement) {
        pg::AsOwner owner(RelationGetRelid(attempts.table), hint_if_deferred(attempts.table));
        pg::SpiScope spi;
        pg::run_sql(
            "insert into public.job_attempts (job, attempt, worker, started_at, ended_at, outcome, error_message,"
            " error_details, organisation_id) select $1, $2, $3, $4, $5, $6, $7, $8, $9 where not exists (select 1 from"
            " public.job_attempts where job operator(pg_catalog.=) $1 and attempt operator(pg_catalog.=) $2)",
            row);
        return;
    }

    pg::Slot slot(attempts.table);
    pg::start_row(slot);
    for (std::size_t i = 0; i < std::size(row); ++i) {
        slot->tts_values[i] = row[i].value.value;
        slot->tts_isnull[i] = row[i].value.null;
    }
    ExecStoreVirtualTuple(slot);
    pg::TableWriter(attempts.table).insert_unless_taken(slot, by_attempt);
}

// The job is deleted, or has just been copied to the archive with its attempts. What another session has deleted by
// hand meanwhile is gone: the result of remove() does not matter.
void remove_attempts(const pg_uuid_t *job)
{
    const Attempts attempts(RowExclusiveLock);
    if (attempts.by_statement) {
        pg::AsOwner owner(RelationGetRelid(attempts.table), hint_if_deferred(attempts.table));
        pg::SpiScope spi;
        const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(job)}};
        pg::run_sql("delete from public.job_attempts where job operator(pg_catalog.=) $1", parameters);
        return;
    }
    pg::OpenRelation index = open_index(attempts.table, RowExclusiveLock);
    pg::Slot slot(attempts.table);
    pg::TableWriter writer(attempts.table);
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(job));
    IndexScanDesc scan = pg::begin_index_scan(attempts.table, index, GetActiveSnapshot(), 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    while (index_getnext_slot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS(); // there may be thousands
        writer.remove(&slot->tts_tid);
    }
    index_endscan(scan);
}

// The job has gone over to another organisation.
void move_attempts(const Row &job)
{
    const Attempts attempts(RowExclusiveLock);
    pg::AsOwner owner(RelationGetRelid(attempts.table), hint_if_deferred(attempts.table),
                      attempts.by_statement ? pg::AsOwner::Code::of_owner : pg::AsOwner::Code::none);
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, job[Column::id]}, {UUIDOID, job.get(Column::organisation_id)}};
    pg::run_sql("update public.job_attempts set organisation_id = $2 where job operator(pg_catalog.=) $1", parameters);
}

// Whether the job may have any. One that succeeded at once has none, unless its type kept successes at that time: so
// the index is asked, where the table is as we made it. Any other may have some, whatever its `attempt` says, because
// the owner of the table may have set it back.
bool may_have_attempts(const Row &job)
{
    if (job.number(Column::attempt) != 1 || job.status() != logic::Status::completed)
        return true;
    const Attempts attempts(AccessShareLock);
    if (attempts.by_statement)
        return true;
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {job[Column::id]};
    pg::OpenRelation index = open_index(attempts.table, AccessShareLock);
    pg::Slot slot(attempts.table);
    pg::IndexLookup lookup(attempts.table, index);
    return lookup.find(keys, equal, slot);
}

// Whether the end of this attempt is recorded: always, but for a success, where the type says so.
bool is_kept(const Row &job, const EndedAttempt &ended)
{
    return ended.outcome != Outcome::completed || types::keeps_all_attempts(job.text(Column::job_type));
}

} // namespace

// Row by row, as those of one job: a TRUNCATE would wait for whoever reads the table, and they, whose policies read
// `jobs`, for the TRUNCATE of that. Nobody records another one meanwhile. The direct path has the latest snapshot; by
// the statement path, at REPEATABLE READ, an attempt that is newer than the transaction stays.
void remove_all()
{
    const Attempts attempts(RowExclusiveLock);
    PushActiveSnapshot(GetLatestSnapshot());
    if (attempts.by_statement) {
        pg::AsOwner owner(RelationGetRelid(attempts.table), hint_if_deferred(attempts.table));
        pg::SpiScope spi;
        pg::run_sql("delete from public.job_attempts", {});
    } else
        pg::remove_all_rows(attempts.table);
    PopActiveSnapshot();
}

std::optional<Outcome> outcome_of(const pg_uuid_t *job, std::int32_t attempt)
{
    const Attempts attempts(AccessShareLock);
    if (attempts.by_statement) {
        static constexpr Oid gives[] = {TEXTOID};
        pg::AsOwner owner(RelationGetRelid(attempts.table), hint_if_deferred(attempts.table));
        pg::SpiScope spi;
        const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(job)}, {INT4OID, Int32GetDatum(attempt)}};
        const pg::Rows rows = pg::query("select outcome from public.job_attempts where job operator(pg_catalog.=) $1"
                                        " and attempt operator(pg_catalog.=) $2",
                                        parameters, gives);
        const pg::Nullable outcome = rows.count() > 0 ? rows.at(0, 0) : pg::Nullable();
        return outcome ? parse_outcome(TextDatumGetCString(outcome.value)) : std::nullopt;
    }

    static constexpr RegProcedure equal[] = {F_UUID_EQ, F_INT4EQ};
    const Datum keys[] = {UUIDPGetDatum(job), Int32GetDatum(attempt)};
    pg::OpenRelation index = open_index(attempts.table, AccessShareLock);
    pg::Slot slot(attempts.table);
    pg::IndexLookup lookup(attempts.table, index);
    if (!lookup.find(keys, equal, slot))
        return std::nullopt;
    bool null;
    const Datum outcome = slot_getattr(slot, 6, &null);
    return null ? std::nullopt : parse_outcome(TextDatumGetCString(outcome));
}

// `numbered` counts the attempts of the job from both ends, n from the first and `after` from the last. `sized` has the
// candidates, with the bytes of the message and of the details as text. `summed` adds these up from either end, so what
// has no room is one gap between the two. `kept` and the element of `gap` are put together in order. Every operator and
// function names its schema: this runs as the table's owner, where nothing of another role may be found.
constexpr const char *select_json =
    "with numbered as ("
    " select attempt, worker, started_at, ended_at, outcome, error_message, error_details,"
    " pg_catalog.row_number() over (order by attempt) as n,"
    " pg_catalog.count(*) over () operator(pg_catalog.-) pg_catalog.row_number() over (order by attempt) as after"
    " from public.job_attempts where job operator(pg_catalog.=) $1"
    "), sized as ("
    " select *, coalesce(pg_catalog.octet_length(error_message), 0)"
    " operator(pg_catalog.+) coalesce(pg_catalog.octet_length(error_details::pg_catalog.text), 0) as bytes"
    " from numbered where n operator(pg_catalog.<=) $2 or after operator(pg_catalog.<) $3"
    "), summed as ("
    " select *, n operator(pg_catalog.<=) $2"
    " and pg_catalog.sum(bytes) over (order by n) operator(pg_catalog.<=) $4 as is_first,"
    " after operator(pg_catalog.<) $3"
    " and pg_catalog.sum(bytes) over (order by after) operator(pg_catalog.<=) $4 as is_last"
    " from sized"
    "), kept as (select * from summed where is_first or is_last"
    "), gap as ("
    " select (select pg_catalog.count(*) from numbered) operator(pg_catalog.-) (select pg_catalog.count(*) from kept)"
    " as left_out, (select pg_catalog.count(*) from kept where is_first) as place"
    ") select pg_catalog.jsonb_agg(element order by place, sort) from ("
    " select n as place, 0 as sort, pg_catalog.jsonb_build_object('attempt', attempt, 'worker', worker,"
    " 'started_at', started_at, 'ended_at', ended_at, 'outcome', outcome, 'error_message', error_message,"
    " 'error_details', error_details) as element from kept"
    " union all select place, 1, pg_catalog.jsonb_build_object('left_out', left_out) from gap"
    " where left_out operator(pg_catalog.>) 0) as elements";

// Always by SQL: it serves the archive alone, where a statement for each job with a failed attempt costs little.
pg::Nullable as_json(const Row &job)
{
    if (!may_have_attempts(job))
        return {};
    static constexpr Oid gives[] = {JSONBOID};
    const Attempts attempts(AccessShareLock);
    pg::AsOwner owner(RelationGetRelid(attempts.table), hint_if_deferred(attempts.table));
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, job[Column::id]},
                                        {INT8OID, Int64GetDatum(first_in_json)},
                                        {INT8OID, Int64GetDatum(last_in_json)},
                                        {INT8OID, Int64GetDatum(bytes_in_json)}};
    const pg::Rows rows = pg::query(select_json, parameters, gives);
    const pg::Nullable all = rows.count() > 0 ? rows.at(0, 0) : pg::Nullable();
    return all ? SPI_datumTransfer(all.value, false, -1) : all;
}

} // namespace store::attempts

namespace store {

// The follower. An attempt that ends is said by the move that ends it (`change.ended`), so an edit of a running job
// writes nothing. It comes last among the followers, because code of the user's may run in it.
void keep_attempts(const Transition &change)
{
    if (change.changes_organisation())
        attempts::move_attempts(*change.after);
    if (change.after == nullptr && attempts::may_have_attempts(*change.before))
        attempts::remove_attempts(change.before->id());
    else if (change.after != nullptr && change.ended && attempts::is_kept(*change.after, *change.ended))
        attempts::record(*change.before, *change.after, *change.ended);
}

} // namespace store
