#include "store/archive.hpp"

#include <algorithm>
#include <utility>

#include "pg/as_owner.hpp"
#include "pg/plan.hpp"
#include "settings.hpp"

namespace store::archive {

namespace {

bool is_computed(Form_pg_attribute attribute)
{
    return attribute->attgenerated != '\0' || attribute->attidentity != '\0';
}

// Whether an INSERT into the table has to run something of the user's: a rule, a trigger, a foreign key, a CHECK. The
// archive as we make it has none of these, so any CHECK counts. Row security does not count: the statement path runs
// as the owner, confined so that not even FORCE ROW LEVEL SECURITY binds it (SECURITY_NOFORCE_RLS).
bool carries_anything(Relation table)
{
    const TupleConstr *constraints = table->rd_att->constr;
    return table->rd_rules != nullptr || trigger_of_theirs(table, Operation::insert) ||
           RelationGetFKeyList(table) != NIL || (constraints != nullptr && constraints->num_check > 0);
}

// The primary key of jobs_archive: as in any partitioned table it has to include the partition key. A job that
// an owner brings back to `jobs`, and that ends again at another time, is a second row.
std::array<AttrNumber, 2> key_columns_of(Relation table)
{
    return {number_of(table, "id"), number_of(table, "finished_at")};
}

bool has_key(Relation table) { return pg::has_unique_index(table, key_columns_of(table)); }

} // namespace

Writer::Writer(Relation jobs)
    : jobs_(jobs), months_(RowExclusiveLock), table_(open_table(ApiTable::jobs_archive, RowExclusiveLock))
{
    look();
}

// What is open here keeps its columns. But each job may run code of the user's: triggers on `jobs` and on the archive,
// expressions of their indexes. That code can make triggers, rules and constraints on a partition that is open.
void Writer::look()
{
    pg::InMemory long_lived(memory_); // not in that of the job in hand, which ends with it
    // Before the look: what changes while it lasts is met by the next add().
    looked_at_ = changes_of_relations();
    target_.reset();
    target_oid_ = InvalidOid;
    months_.look_at_months();
    has_one_owner_ = false;
    source_ = sources(table_);
    in_the_way_ = carries_anything(table_);
    // Postgres refuses ON CONFLICT on a table with rules for INSERT or UPDATE (0A000, parse analysis).
    has_key_ = has_key(table_) && table_->rd_rules == nullptr;
}

// For each column of the archive, or of a partition: where its value comes from. By name, because a partition may have
// its columns in another order than its parent, and `jobs` in another one again. A value goes along only where its type
// is the same to C++ (pg::stands_for()); a computed column gets its value from Postgres.
AttrNumber *Writer::sources(Relation table) const
{
    TupleDesc descriptor = table->rd_att;
    auto source = static_cast<AttrNumber *>(palloc0(sizeof(AttrNumber) * std::max(descriptor->natts, 1)));
    for (int i = 0; i < descriptor->natts; ++i) {
        Form_pg_attribute to = pg::attribute(descriptor, i + 1);
        if (to->attisdropped || is_computed(to))
            continue;
        if (namestrcmp(&to->attname, "archived_at") == 0)
            source[i] = archived_at;
        else if (namestrcmp(&to->attname, "attempts") == 0)
            source[i] = attempts_json;
        else if (namestrcmp(&to->attname, "steps") == 0)
            source[i] = steps_json;
        else if (const AttrNumber number = number_of(jobs_, NameStr(to->attname)); number > 0) {
            const Oid type = pg::attribute(jobs_->rd_att, number)->atttypid;
            source[i] = pg::stands_for(type, to->atttypid) ? number : nowhere;
        }
    }
    return source;
}

// Whether the row can be formed without the executor: no column has a default to be computed, a domain to be checked,
// a limit (typmod) to be enforced, or a NOT NULL that a null could meet.
bool Writer::is_plain(Relation table, const AttrNumber *source) const
{
    for (int i = 0; i < table->rd_att->natts; ++i) {
        Form_pg_attribute to = pg::attribute(table->rd_att, i + 1);
        if (to->attisdropped || source[i] == archived_at)
            continue;
        if (is_computed(to))
            return false;
        if (source[i] <= 0) { // `nowhere`, or attempts and steps, which are null where there were none
            if (to->attnotnull ||
                (source[i] == nowhere && (to->atthasdef || getBaseType(to->atttypid) != to->atttypid)))
                return false;
            continue;
        }
        Form_pg_attribute from = pg::attribute(jobs_->rd_att, source[i]);
        // finished_at may be null in `jobs`, but not of a job that comes here: its key in `ended` is made of it.
        const bool never_null = from->attnotnull || namestrcmp(&to->attname, "finished_at") == 0;
        if ((to->attnotnull && !never_null) || (to->atttypmod >= 0 && to->atttypmod != from->atttypmod))
            return false;
    }
    return true;
}

// The partition for a job, open and locked; null: the job has to go by SQL.
//
// The race: another session attaches a month while we wait for the lock on the default partition. Safe because the
// partitions are looked at again under that lock, which keeps everybody from attaching more, until the partition that
// is open is the right one. Each turn means that another session committed such a change.
Writer::Target *Writer::target_for(TimestampTz finished_at)
{
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        const Oid oid = months_.partition_for(finished_at);
        if (!OidIsValid(oid))
            return nullptr;
        if (oid == target_oid_)
            return &*target_;
        open_target(oid);
        months_.look_at_months();
    }
}

void Writer::open_target(Oid oid)
{
    pg::InMemory long_lived(memory_);
    target_oid_ = InvalidOid; // an error in what follows must not leave a half-made target to the next job
    target_.reset();
    target_.emplace(oid);
    Relation table = target_->table;
    require_owner_of_jobs(oid);
    target_->source = sources(table);
    target_->key = key_columns_of(table);
    target_->has_key = has_key(table);
    // Not a partition that is partitioned itself, a foreign table, or one of another access method. An index that is
    // checked at commit, or an exclusion constraint, needs the executor.
    target_->direct = table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relam == HEAP_TABLE_AM_OID &&
                      !carries_anything(table) && !has_late_index(table) && is_plain(table, target_->source);
    target_oid_ = oid;
}

pg::Nullable Writer::column_value(TupleTableSlot *found, AttrNumber source, Datum now, const Left &left) const
{
    if (source > 0)
        return {found->tts_values[source - 1], found->tts_isnull[source - 1]};
    return source == archived_at     ? pg::Nullable(now)
           : source == attempts_json ? left.attempts
           : source == steps_json    ? left.steps
                                     : pg::Nullable{};
}

void Writer::add(Jobs &jobs, const Row &job, TimestampTz now, const Left &left)
{
    slot_getallattrs(jobs.found());
    if (looked_at_ != changes_of_relations())
        look(); // the job before may have run code of the user's
    const bool direct = !settings::force_statement_path && !in_the_way_;
    Target *target = direct ? target_for(*job.time(Column::finished_at)) : nullptr;
    if (target != nullptr && target->direct)
        add_directly(*target, jobs.found(), now, left);
    else
        add_by_statement(jobs.found(), job, now, left);
}

void Writer::add_directly(Target &target, TupleTableSlot *found, TimestampTz now, const Left &left)
{
    TupleTableSlot *slot = target.slot;
    pg::start_row(slot);
    for (int i = 0; i < target.table->rd_att->natts; ++i) {
        const pg::Nullable column = column_value(found, target.source[i], TimestampTzGetDatum(now), left);
        slot->tts_values[i] = column.value;
        slot->tts_isnull[i] = column.null;
    }
    ExecStoreVirtualTuple(slot);
    // As ON CONFLICT DO NOTHING: it waits for a transaction that inserts the same key. Only one made by hand could,
    // since the job's row is locked.
    if (target.has_key)
        target.writer.insert_unless_taken(slot, target.key);
    else
        target.writer.insert(slot);
}

// As the archive's owner, confined, because what the INSERT meets stands on a table of that role.
void Writer::add_by_statement(TupleTableSlot *found, const Row &job, TimestampTz now, const Left &left)
{
    pg::Parameter row[FUNC_MAX_ARGS];
    int count = 0;
    StringInfoData names, places;
    initStringInfo(&names);
    initStringInfo(&places);
    for (int i = 0; i < table_->rd_att->natts; ++i) {
        if (source_[i] == nowhere)
            continue;
        if (count == FUNC_MAX_ARGS) // as many parameters as a plan of ours takes
            raise_altered("jobs_archive", psprintf("It has more than %d columns to write.", FUNC_MAX_ARGS));
        Form_pg_attribute column = pg::attribute(table_->rd_att, i + 1);
        row[count] = {column->atttypid, column_value(found, source_[i], TimestampTzGetDatum(now), left)};
        const char *comma = count++ == 0 ? "" : ", ";
        appendStringInfo(&names, "%s%s", comma, quote_identifier(NameStr(column->attname)));
        appendStringInfo(&places, "%s$%d", comma, count);
    }
    if (!std::exchange(has_one_owner_, true))
        require_one_owner();
    pg::AsOwner owner(RelationGetRelid(table_));
    pg::SpiScope spi;
    if (pg::run_sql(psprintf("insert into public.jobs_archive (%s) values (%s)%s", names.data, places.data,
                             has_key_ ? " on conflict (id, finished_at) do nothing" : ""),
                    std::span(row, count)) > 0)
        return;
    // No row: the archive had it, or a trigger or rule returned nothing. Only the first is as good as a copy.
    const pg::Parameter key[] = {{UUIDOID, job.get(Column::id)}, {TIMESTAMPTZOID, job.get(Column::finished_at)}};
    if (pg::run_sql("select 1 from public.jobs_archive where id operator(pg_catalog.=) $1"
                    " and finished_at operator(pg_catalog.=) $2",
                    key) == 0)
        ereport(ERROR,
                (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                 errmsg("a trigger or rule on jobs_archive kept job %s from being archived", to_text(job.id()))));
}

} // namespace store::archive
