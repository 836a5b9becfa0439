// Processes by their number in shared memory, which needs no lock and no check whether the process is there still: the
// array of processes and their latches stays where it is for as long as the server runs.
#pragma once

#include "prelude.hpp"

namespace shared {

constexpr std::uint32_t no_process = PG_UINT32_MAX;

// Sets the latch of a process. If that process has ended meanwhile, its number is nobody's or another process's, which
// wakes for nothing and sleeps on: every wait on a latch looks again at what it waits for. May be called at commit,
// since SetLatch() raises nothing. It begins with a memory barrier, so the process sees what was written before.
inline void wake_process(std::uint32_t process)
{
    if (process != no_process)
        SetLatch(&GetPGProcByNumber(process)->procLatch);
}

} // namespace shared
