// Processes by their number in shared memory.
#pragma once

#include "prelude.hpp"

namespace shared {

constexpr std::uint32_t no_process = PG_UINT32_MAX;

// A process that has ended meanwhile, or is another one by now, wakes for nothing.
inline void wake_process(std::uint32_t process)
{
    if (process != no_process)
        SetLatch(&GetPGProcByNumber(process)->procLatch);
}

} // namespace shared
