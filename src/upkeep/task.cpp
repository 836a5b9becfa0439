#include "upkeep/task.hpp"

namespace upkeep {

const char *name(Task task)
{
    static constexpr const char *names[] = {"reap", "expire", "remove", "archive", "months"};
    return names[static_cast<int>(task)];
}

Counts &Counts::operator+=(const Counts &other)
{
    leases += other.leases;
    timeouts += other.timeouts;
    retried += other.retried;
    failed += other.failed;
    cancelled += other.cancelled;
    expired += other.expired;
    archived += other.archived;
    deleted += other.deleted;
    partitions_dropped += other.partitions_dropped;
    set_aside += other.set_aside;
    left += other.left;
    due += other.due;
    more = more || other.more;
    return *this;
}

} // namespace upkeep
