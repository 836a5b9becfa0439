#include "store/attempts.hpp"

#include "pg/heap.hpp"
#include "pg/plan.hpp"

namespace store::attempts {

namespace {

constexpr std::string_view outcome_names[] = {"failed", "lease_expired", "timed_out", "released", "cancelled"};

std::optional<Outcome> parse(std::string_view text)
{
    for (std::size_t i = 0; i < std::size(outcome_names); ++i)
        if (outcome_names[i] == text)
            return static_cast<Outcome>(i);
    return std::nullopt;
}

// Of a table that is as we make it.
constexpr AttrNumber by_attempt[] = {1, 2}; // job, attempt

pg::OpenRelation open_index(Relation table, LOCKMODE lock)
{
    return open_key(table, static_cast<int>(std::size(by_attempt)), lock);
}

} // namespace

void record(const Tables &tables, const Row &running, Outcome outcome, TimestampTz ended_at, pg::Nullable error_message,
            pg::Nullable error_details)
{
    const std::string_view name = outcome_names[static_cast<int>(outcome)];
    const pg::Parameter row[] = {
        {UUIDOID, running.get(Column::id)},
        {INT4OID, running.get(Column::attempt)},
        {TEXTOID, running.get(Column::worker)},
        {TIMESTAMPTZOID, running.get(Column::started_at)},
        {TIMESTAMPTZOID, TimestampTzGetDatum(ended_at)},
        {TEXTOID, PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size())))},
        {TEXTOID, error_message},
        {JSONBOID, error_details},
    };
    if (tables.attempts_in_the_way) {
        pg::AsOwner owner(tables.attempts);
        pg::SpiScope spi;
        pg::run("insert into public.job_attempts (job, attempt, worker, started_at, ended_at, outcome, error_message,"
                " error_details) select $1, $2, $3, $4, $5, $6, $7, $8 where not exists (select 1 from"
                " public.job_attempts where job operator(pg_catalog.=) $1 and attempt operator(pg_catalog.=) $2)",
                row);
        return;
    }

    pg::OpenRelation table(tables.attempts, RowExclusiveLock);
    pg::Slot slot(table);
    pg::start_row(slot);
    for (std::size_t i = 0; i < std::size(row); ++i) {
        slot->tts_values[i] = row[i].value.value;
        slot->tts_isnull[i] = row[i].value.null;
    }
    ExecStoreVirtualTuple(slot);
    // Whoever wrote a row of this attempt by hand must not keep the job from ending.
    pg::TableWriter(table).insert_unless_taken(slot, by_attempt);
}

std::optional<Outcome> outcome_of(const Tables &tables, const pg_uuid_t *job, std::int32_t attempt)
{
    if (tables.attempts_in_the_way) {
        pg::AsOwner owner(tables.attempts);
        pg::SpiScope spi;
        const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(job)}, {INT4OID, Int32GetDatum(attempt)}};
        if (pg::run("select outcome from public.job_attempts where job operator(pg_catalog.=) $1"
                    " and attempt operator(pg_catalog.=) $2",
                    parameters) == 0)
            return std::nullopt;
        const char *outcome = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
        return outcome != nullptr ? parse(outcome) : std::nullopt;
    }

    static constexpr RegProcedure equal[] = {F_UUID_EQ, F_INT4EQ};
    const Datum keys[] = {UUIDPGetDatum(job), Int32GetDatum(attempt)};
    pg::OpenRelation table = pg::open_briefly(tables.attempts);
    pg::OpenRelation index = open_index(table, AccessShareLock);
    pg::Slot slot(table);
    pg::IndexLookup lookup(table, index);
    if (!lookup.find(keys, equal, slot))
        return std::nullopt;
    bool null;
    const Datum outcome = slot_getattr(slot, 6, &null);
    return null ? std::nullopt : parse(TextDatumGetCString(outcome));
}

pg::Nullable as_json(const Tables &tables, const pg_uuid_t *job)
{
    pg::AsOwner owner(tables.attempts);
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(job)}};
    pg::run("select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('attempt', attempt, 'worker', worker,"
            " 'started_at', started_at, 'ended_at', ended_at, 'outcome', outcome, 'error_message', error_message,"
            " 'error_details', error_details) order by attempt)"
            " from public.job_attempts where job operator(pg_catalog.=) $1",
            parameters);
    bool null;
    const Datum all = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
    return null ? pg::Nullable{} : SPI_datumTransfer(all, false, -1);
}

void remove(const Tables &tables, const pg_uuid_t *job)
{
    if (tables.attempts_in_the_way) {
        pg::AsOwner owner(tables.attempts);
        pg::SpiScope spi;
        const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(job)}};
        pg::run("delete from public.job_attempts where job operator(pg_catalog.=) $1", parameters);
        return;
    }
    pg::OpenRelation table(tables.attempts, RowExclusiveLock);
    pg::OpenRelation index = open_index(table, RowExclusiveLock);
    pg::Slot slot(table);
    pg::TableWriter writer(table);
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(job));
    IndexScanDesc scan = pg::begin_index_scan(table, index, GetActiveSnapshot(), 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    while (index_getnext_slot(scan, ForwardScanDirection, slot))
        writer.remove(&slot->tts_tid);
    index_endscan(scan);
}

} // namespace store::attempts
