// jobs_ext.check(): the audit of all derived tables at once, in one call, which the worker does in slices.
//
// It runs beside all writers: a writer changes a job and its keys in one transaction, so under one snapshot they agree,
// and a difference is a fault (store/audit.hpp). A fault that is found may be over when it is to be mended, because the
// job has changed since. So mend() takes a snapshot of its own and locks the job, without waiting, before it looks
// again; a job that another session holds is left to the next call.
//
// ROLLBACK takes back what was mended, and a cancel what this call has mended so far.
#include "upkeep/check.hpp"

#include "call/fields.hpp"
#include "call/privileges.hpp"
#include "pg/subtransaction.hpp"
#include "store/rebuild.hpp"

namespace upkeep {

using store::audit::Comparison;
using store::audit::Fault;
using store::audit::Mended;

Mended try_to_mend(const Fault &fault)
{
    Mended result = Mended::gone;
    ErrorData *error = pg::in_subtransaction([&] { result = store::audit::mend(fault); });
    if (error == nullptr)
        return result;
    ereport(WARNING,
            (errcode(error->sqlerrcode),
             errmsg("what is derived from job %s could not be mended: %s", store::to_text(fault.job), error->message),
             error->detail != nullptr ? errdetail_internal("%s", error->detail) : 0));
    FreeErrorData(error);
    return Mended::busy;
}

namespace {

// Raises 42501. A fault names a job, so the caller must be one who may see every job. To mend is to write what the
// verbs write along with `jobs`.
void require_may_check(bool mends)
{
    const std::optional<store::TableId> jobs = store::find_table(store::ApiTable::jobs);
    if (!jobs)
        return; // Comparison opens it, and raises 42P01
    call::require_all_rows(*jobs, "check them");
    if (mends)
        call::require_update(*jobs);
}

// Builds the derived tables where they do not count as built: only what was built can be compared and mended. Raises
// 25001 outside READ COMMITTED, 25006 in a read-only transaction and on a standby, by the scope. It is closed before
// the comparison begins, whose snapshot must be newer than the build.
void prepare_to_mend()
{
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("jobs_ext.check() can mend in a READ COMMITTED transaction only"),
                        errdetail("Another one's snapshot may be older than what is to be mended.")));
    pg::StatementScope scope("jobs_ext.check(mend => true)");
    store::ensure_derived_built();
}

struct Check {
    bool mend;
};
constexpr call::Field<Check> check_fields[] = {{"mend", BOOLOID, &Check::mend}};

} // namespace

JOBS_FUNCTION(jobs_check)
{
    PreventCommandIfParallelMode("jobs_ext.check()");
    const bool mends = call::read_arguments<check_fields>(fcinfo).mend;
    static constexpr Oid gives[] = {UUIDOID, TEXTOID, BOOLOID};
    pg::RowSink sink(fcinfo, gives);
    require_may_check(mends);
    if (mends)
        prepare_to_mend();
    Comparison comparison;
    if (!comparison.is_built()) {
        ereport(NOTICE, (errmsg("the private tables of jobs_ext are not built yet"),
                         errdetail("Triggers on jobs were made or switched on, or columns given other values, a moment "
                                   "ago. The next call that writes to jobs "
                                   "builds them; until then there is nothing to compare.")));
        return Datum{0};
    }
    for (int part = 0; part < store::audit::part_count; ++part)
        comparison.walk(part, 0, MaxBlockNumber, [&](const Fault &fault) {
            pg::RowBuilder row(gives);
            row.add(fault.job).add(comparison.describe(fault)).add(mends && try_to_mend(fault) == Mended::yes);
            sink.put(row);
        });
    return Datum{0};
}

} // namespace upkeep
