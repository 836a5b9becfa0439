// The library's entry. What is registered here is registered once in a process and for its life: Postgres lets nobody
// take back a relcache callback or a hook that another library has chained to.
#include "pg/version.hpp"
#include "prelude.hpp"
#include "settings.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "shared/dismissals.hpp"
#include "shared/hints.hpp"
#include "shared/launcher.hpp"
#include "shared/sleepers.hpp"
#include "shared/statistics.hpp"
#include "shared/takers.hpp"
#include "store/async_commit.hpp"
#include "store/lanes.hpp"
#include "store/statement.hpp"
#include "store/tables.hpp"
#include "worker/commands.hpp"
#include "worker/launcher.hpp"

extern "C" {
#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "jobs_ext", .version = JOBS_EXT_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void)
{
    // Before the settings are defined: jobs_ext.max_waiters and others are of another context where shared memory is to
    // be sized.
    settings::preloaded = process_shared_preload_libraries_in_progress;
    settings::define();
    shared::notes::watch_transactions();
    // Shared memory and processes can be asked for only while the postmaster preloads. In pg_upgrade, which starts both
    // servers for itself, no process of ours is to write.
    if (settings::preloaded && !IsBinaryUpgrade) {
        shared::databases::request_databases();
        shared::dismissals::request_dismissals();
        shared::hints::request_hints();
        shared::launcher::request_launcher();
        shared::sleepers::request_sleepers();
        shared::statistics::request_statistics();
        shared::takers::request_takers();
        worker::watch_commands();
        worker::register_launcher();
    }
    version::watch_version();
    store::watch_tables();
    store::types::watch_types();
    store::lanes::watch_lanes();
    store::statement::watch_statements();
    store::unflushed::watch_flushes();
}
