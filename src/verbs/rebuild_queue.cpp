// jobs_ext.rebuild_queue().
//
// A rebuild has `jobs` under SHARE ROW EXCLUSIVE: it waits for every transaction that has written there, and writers
// wait for it, while readers go on with `jobs` alone (store/rebuild.hpp). ROLLBACK leaves the derived tables as they
// were.
#include "call/privileges.hpp"
#include "pg/function.hpp"
#include "store/rebuild.hpp"
#include "store/tables.hpp"

namespace verbs {

JOBS_FUNCTION(rebuild_queue)
{
    pg::StatementScope scope("jobs_ext.rebuild_queue()");
    if (const std::optional<store::TableId> jobs = store::find_table(store::ApiTable::jobs))
        call::require_update(*jobs);
    return Int64GetDatum(store::rebuild_derived());
}

} // namespace verbs
