#include "upkeep/task.hpp"

namespace upkeep {

const char *name_of_task(Task task)
{
    // Stored in rows of set_aside: a new name would orphan the rows under the old one.
    static constexpr const char *names[] = {"reap", "expire", "unblock", "remove", "archive", "months", "erase"};
    return names[static_cast<int>(task)];
}

} // namespace upkeep
