// Whether due work stands still, for whatever reason: an error, a lock that somebody holds, a job that is never there
// when it is looked for. The caller notes each look at one task, with what came of it. One process's memory: a worker
// that begins anew counts from its first look.
#pragma once

#include <cstdint>

namespace logic {

class Stall {
public:
    enum class Look {
        nothing_due,
        some_done,
        none_done, // it failed, or all that was due could not be done now
    };

    // Notes a look at `now`, in microseconds by a clock that nobody sets. Returns true when all looks of the last
    // `patience` microseconds found that something was due and none did any of it: the first time, and then once in as
    // long again. Where nobody looked for as long as that, nobody knows what was due meanwhile: it begins anew.
    constexpr bool note(Look look, std::int64_t now, std::int64_t patience)
    {
        const bool goes_on = is_standing_ && now - looked_at_ < patience;
        looked_at_ = now;
        is_standing_ = look == Look::none_done;
        if (!is_standing_)
            return false;
        if (!goes_on)
            since_ = told_at_ = now;
        if (now - told_at_ < patience)
            return false;
        told_at_ = now;
        return true;
    }

    // When the first of these looks was; of use after note() returned true.
    constexpr std::int64_t since() const { return since_; }

private:
    bool is_standing_ = false;
    std::int64_t looked_at_ = 0;
    std::int64_t since_ = 0;
    std::int64_t told_at_ = 0;
};

} // namespace logic
