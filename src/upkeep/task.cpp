#include "upkeep/task.hpp"

namespace upkeep {

const char *name_of_task(Task task)
{
    static constexpr const char *names[] = {"reap", "expire", "remove", "archive", "months"};
    return names[static_cast<int>(task)];
}

} // namespace upkeep
