#include "pg/session.hpp"

#include "pg/plan.hpp"

namespace pg {

void forget_session()
{
    LockReleaseAll(USER_LOCKMETHOD, true);
    ResetSequenceCaches();
}

bool listens()
{
    SpiScope spi;
    return run_sql("select from pg_catalog.pg_listening_channels()", {}, 1) > 0;
}

} // namespace pg
