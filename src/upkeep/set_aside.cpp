#include "upkeep/set_aside.hpp"

#include "logic/backoff.hpp"
#include "pg/heap.hpp"
#include "pg/lock.hpp"

namespace upkeep {

namespace {

enum SetAsideColumn {
    job_column,
    task_column,
    failures_column,
    since_column,
    retry_column,
    state_column,
    message_column
};
constexpr int set_aside_columns = message_column + 1;

constexpr auto set_aside = store::PrivateTable::set_aside;

constexpr std::int64_t first_delay_ms = 1000;
constexpr std::int64_t longest_delay_ms = 3600 * first_delay_ms;
constexpr int longest_message = 4000; // bytes: the list is read whole by each piece, and shown in a view

// Jitter spreads the jobs of one fault (a trigger that refuses all of a type): they would else come back together.
TimestampTz next_try_after(int failures, TimestampTz now)
{
    const std::int64_t ceiling =
        logic::backoff_ceiling(logic::Backoff::exponential, first_delay_ms, failures - 1, longest_delay_ms);
    return now + logic::with_jitter(ceiling, pg_prng_double(&pg_global_prng_state)) * 1000;
}

Datum message_of(const ErrorData *error)
{
    const char *message = error->message != nullptr ? error->message : "(no message)";
    const int length = static_cast<int>(std::strlen(message));
    // Cut between characters: half of one would be invalid in the server's encoding.
    return PointerGetDatum(cstring_to_text_with_len(message, pg_mbcliplen(message, length, longest_message)));
}

HTAB *new_entries()
{
    HASHCTL control = {};
    control.keysize = sizeof(pg_uuid_t);
    control.entrysize = sizeof(SetAside::Entry);
    control.hcxt = CurrentMemoryContext;
    return hash_create("jobs_ext set aside", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

} // namespace

SetAside::SetAside()
{
    const pg::OpenRelation table = store::open_private(set_aside, AccessShareLock);
    table_ = RelationGetRelid(table);
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        slot_getallattrs(slot);
        const Datum *values = slot->tts_values;
        if (entries_ == nullptr)
            entries_ = new_entries();
        auto entry =
            static_cast<Entry *>(hash_search(entries_, DatumGetUUIDP(values[job_column]), HASH_ENTER, nullptr));
        strlcpy(entry->task, TextDatumGetCString(values[task_column]), sizeof(entry->task));
        entry->failures = DatumGetInt32(values[failures_column]);
        entry->since = store::as_time(values[since_column]);
        entry->retry_at = store::as_time(values[retry_column]);
    }
}

const SetAside::Entry *SetAside::find(const pg_uuid_t *job) const
{
    if (entries_ == nullptr)
        return nullptr;
    return static_cast<const Entry *>(hash_search(entries_, job, HASH_FIND, nullptr));
}

bool SetAside::is_waiting(const pg_uuid_t *job, TimestampTz now) const
{
    const Entry *entry = find(job);
    return entry != nullptr && entry->retry_at > now;
}

// Until the end of the transaction, or until the subtransaction is rolled back. The second lock is the one that the
// write needs, taken conditionally: a session that alters the table is not waited for either.
bool SetAside::lock_for_writing() const
{
    return pg::lock_of_ours(table_, 0, pg::Wait::no) && ConditionalLockRelationOid(table_, RowExclusiveLock);
}

SetAside::Noted SetAside::note_failure(const pg_uuid_t *job, const char *task, const ErrorData *error, TimestampTz now,
                                       std::int64_t rest_ms) const
{
    if (!lock_for_writing())
        return Noted::not_now;
    // Another process may have noted the job since the list was read, so look at the table. Its commit may also lie
    // between our snapshot and our lock: the insert below then finds the key taken, or the update an old version
    // (always so outside READ COMMITTED), and the answer is not_now.
    const pg::OpenRelation table = store::open_private(set_aside, RowExclusiveLock);
    pg::OpenRelation index = store::open_key(table, store::shape_of(set_aside).key_columns, RowExclusiveLock);
    pg::Slot slot(table), changed(table);
    pg::IndexLookup lookup(table, index);
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(job)};
    const bool known = lookup.find(keys, equal, slot);

    pg::start_row(changed);
    std::memset(changed->tts_isnull, false, sizeof(bool) * set_aside_columns);
    bool null;
    const int failures = known ? DatumGetInt32(slot_getattr(slot, failures_column + 1, &null)) + 1 : 1;
    Datum *values = changed->tts_values;
    values[job_column] = UUIDPGetDatum(job);
    values[task_column] = CStringGetTextDatum(task);
    values[failures_column] = Int32GetDatum(failures);
    values[since_column] = known ? slot_getattr(slot, since_column + 1, &null) : TimestampTzGetDatum(now);
    values[retry_column] = TimestampTzGetDatum(std::max(next_try_after(failures, now), now + rest_ms * 1000));
    values[state_column] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
    values[message_column] = message_of(error);
    ExecStoreVirtualTuple(changed);

    static constexpr AttrNumber by_job[] = {job_column + 1};
    pg::TableWriter writer(table);
    if (!known)
        return writer.insert_unless_taken(changed, by_job) ? Noted::first : Noted::not_now;
    ItemPointerData tid = slot->tts_tid;
    return writer.update(&tid, changed) == TM_Ok ? Noted::again : Noted::not_now;
}

bool SetAside::forget(const pg_uuid_t *job) const
{
    if (find(job) == nullptr)
        return true;
    if (!lock_for_writing())
        return false;
    const pg::OpenRelation table = store::open_private(set_aside, RowExclusiveLock);
    pg::OpenRelation index = store::open_key(table, store::shape_of(set_aside).key_columns, RowExclusiveLock);
    pg::Slot slot(table);
    pg::IndexLookup lookup(table, index);
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(job)};
    if (lookup.find(keys, equal, slot))
        pg::TableWriter(table).remove(&slot->tts_tid);
    return true;
}

} // namespace upkeep
