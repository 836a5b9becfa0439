// The partitions of `jobs_archive`. The head of archive.hpp says who changes them meanwhile.
//
// Partitions are found by the descriptors that the relcache has, not by the executor's routing: those are read without
// running an expression of the user's. Whatever is not as we make it (list or hash, two columns, an expression) is left
// to Postgres, by the statement path.
#include "pg/as_owner.hpp"
#include "pg/extension_function.hpp"
#include "pg/lock.hpp"
#include "store/archive.hpp"

namespace store::archive {

namespace {

constexpr int first_year = 1970;

// Without a time zone timestamp2tm() gives UTC, so months do not depend on the session's setting. Year 0, which
// month_of() refuses, for what it cannot express.
pg_tm broken_down(TimestampTz instant)
{
    pg_tm fields = {};
    fsec_t fraction;
    if (timestamp2tm(instant, nullptr, &fields, &fraction, nullptr, nullptr) != 0)
        fields.tm_year = 0;
    return fields;
}

// `month` may be 13: January of the next year.
TimestampTz start_of(int year, int month)
{
    pg_tm fields = {};
    fields.tm_year = year + (month - 1) / MONTHS_PER_YEAR;
    fields.tm_mon = (month - 1) % MONTHS_PER_YEAR + 1;
    fields.tm_mday = 1;
    TimestampTz start = DT_NOEND;
    (void)tm2timestamp(&fields, 0, nullptr, &start);
    return start;
}

} // namespace

std::optional<TimestampTz> month_of(TimestampTz instant)
{
    if (TIMESTAMP_NOT_FINITE(instant))
        return std::nullopt;
    const pg_tm fields = broken_down(instant);
    if (fields.tm_year < first_year || fields.tm_year > 9999)
        return std::nullopt;
    return start_of(fields.tm_year, fields.tm_mon);
}

TimestampTz next_month(TimestampTz month)
{
    const pg_tm fields = broken_down(month);
    return start_of(fields.tm_year, fields.tm_mon + 1);
}

namespace {

// Whether an expression is part of the partition key. By the catalog, because RelationGetPartitionKey() simplifies such
// expressions (eval_const_expressions), which runs functions of the user's that are constant in them.
bool is_by_expression(Relation table)
{
    HeapTuple tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(RelationGetRelid(table)));
    if (!HeapTupleIsValid(tuple))
        return true; // not partitioned
    const bool is = !heap_attisnull(tuple, Anum_pg_partitioned_table_partexprs, nullptr);
    ReleaseSysCache(tuple);
    return is;
}

} // namespace

Months::Months(LOCKMODE lock) : table_(open_table(ApiTable::jobs_archive, lock)) { look_at_months(); }

void Months::look_at_months()
{
    partitions_ = nullptr;
    bounds_ = nullptr;
    if (table_->rd_rel->relkind != RELKIND_PARTITIONED_TABLE || is_by_expression(table_))
        return;
    partitions_ = RelationGetPartitionDesc(table_, true); // without those that DETACH CONCURRENTLY takes away
    if (is_by_time())
        bounds_ = partitions_->boundinfo;
}

bool Months::is_by_time() const
{
    PartitionKey key = RelationGetPartitionKey(table_);
    return key->strategy == PARTITION_STRATEGY_RANGE && key->partnatts == 1 && key->parttypid[0] == TIMESTAMPTZOID &&
           key->partattrs[0] == number_of(table_, "finished_at");
}

// The position in the list of partitions; -1: none but the default one takes it. The search of
// get_partition_for_tuple() in execPartition.c, for one column of a range.
int Months::position_of_month(TimestampTz instant) const
{
    PartitionKey key = RelationGetPartitionKey(table_);
    Datum value = TimestampTzGetDatum(instant);
    bool is_equal;
    const int bound =
        partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds_, 1, &value, &is_equal);
    return bounds_->indexes[bound + 1];
}

bool Months::lacks(TimestampTz instant) const
{
    if (partitions_ == nullptr || !is_by_time())
        return false; // the user partitions it otherwise, or not at all
    return bounds_ == nullptr || position_of_month(instant) < 0;
}

Oid Months::partition_for(TimestampTz instant) const
{
    if (bounds_ == nullptr)
        return InvalidOid;
    const int position = position_of_month(instant);
    if (position >= 0)
        return partitions_->oids[position];
    return bounds_->default_index >= 0 ? partitions_->oids[bounds_->default_index] : InvalidOid;
}

// The month of the partition that ends at this bound, if it is one that we made. By schema, name and bounds, all
// three: such a partition is dropped with its jobs when it is old, so one that an owner made or renamed, or that holds
// more than its name says, must not be taken for ours.
std::optional<TimestampTz> Months::month_of_ours(int bound) const
{
    const PartitionRangeDatumKind plain = PARTITION_RANGE_DATUM_VALUE;
    const int position = bounds_->indexes[bound];
    if (position < 0 || bounds_->kind[bound][0] != plain || bounds_->kind[bound - 1][0] != plain)
        return std::nullopt;
    const TimestampTz from = as_time(bounds_->datums[bound - 1][0]);
    const TimestampTz to = as_time(bounds_->datums[bound][0]);
    const std::optional<TimestampTz> month = month_of(from);
    if (!month || *month != from || next_month(from) != to)
        return std::nullopt;
    const Oid oid = partitions_->oids[position];
    const char *name = get_rel_name(oid);
    const pg_tm fields = broken_down(from);
    if (name == nullptr || get_rel_namespace(oid) != get_namespace_oid("jobs_ext", true) ||
        std::strcmp(name, psprintf("jobs_archive_%04d_%02d", fields.tm_year, fields.tm_mon)) != 0)
        return std::nullopt;
    return from;
}

// Which partition it is may change before the lock is there: Writer::target_for() has the last word. One that has been
// dropped meanwhile leaves a lock on an oid that is nobody's, which does no harm.
bool lock_partition_for(TimestampTz instant)
{
    const Oid partition = Months(AccessShareLock).partition_for(instant);
    if (!OidIsValid(partition))
        return true;
    if (!pg::waits_for_tables)
        return ConditionalLockRelationOid(partition, RowExclusiveLock);
    pg::lock_table(partition, RowExclusiveLock);
    return true;
}

bool lock_months()
{
    // `state` gives the number only: the lock is on an object that no other code knows, see pg::lock_of_ours().
    pg::OpenRelation state = open_private(PrivateTable::state, AccessShareLock);
    state.unlock_when_closed(AccessShareLock);
    return pg::lock_of_ours(RelationGetRelid(state), 0, pg::Wait::no);
}

namespace {

// By oid, proved to be the extension's: a function of a user's that fits the arguments better is never called.
Oid function_of_ours(const char *name, Oid argument)
{
    return pg::extension_function({"jobs_ext", "jobs_ext", name, std::span(&argument, 1)});
}

} // namespace

void require_one_owner()
{
    ListCell *cell;
    // NoLock: each is locked by pg::lock_table(), which a worker does not wait in. One that was dropped in between has
    // no owner to refuse: require_owner_of_jobs() passes over it.
    foreach (cell, find_all_inheritors(lock_api_table(ApiTable::jobs_archive, AccessShareLock).in_catalogs(), NoLock,
                                       nullptr)) {
        pg::lock_table(lfirst_oid(cell), AccessShareLock);
        require_owner_of_jobs(lfirst_oid(cell));
    }
}

// The lock on the archive comes before the question for its owner, so that the role under which this runs stays the
// owner's. The statements are in sql/parts/64_jobs_archive.sql.
bool create_month(TimestampTz month)
{
    pg::AsOwner owner(lock_api_table(ApiTable::jobs_archive, AccessShareLock).in_catalogs());
    require_one_owner();
    return DatumGetBool(
        OidFunctionCall1(function_of_ours("make_archive_month", TIMESTAMPTZOID), TimestampTzGetDatum(month)));
}

void drop_month(Oid partition)
{
    pg::AsOwner owner(lock_api_table(ApiTable::jobs_archive, AccessShareLock).in_catalogs());
    require_owner_of_jobs(partition);
    OidFunctionCall1(function_of_ours("drop_archive_month", REGCLASSOID), ObjectIdGetDatum(partition));
}

} // namespace store::archive
