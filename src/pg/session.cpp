#include "pg/session.hpp"

namespace pg {

void forget_session()
{
    LockReleaseAll(USER_LOCKMETHOD, true);
    ResetSequenceCaches();
}

} // namespace pg
