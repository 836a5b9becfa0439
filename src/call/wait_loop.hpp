// A call that waits: job_claim for a job, job_wait for the end of one. In shared memory where the library is preloaded
// and there is a place left; else by looking ten times a second.
#pragma once

#include "pg/function.hpp"
#include "pg/time.hpp"
#include "shared/dismissals.hpp"
#include "shared/sleepers.hpp"

namespace call {

class Waiting {
public:
    // Why a call that is to wait does not: a loop around it would spin, so its session is told, once for each reason.
    enum class Reason : std::uint8_t { wrote, isolation, timeout, max_wait, look_wrote };

    // `wait`: microseconds that the caller asks for; none: not at all. Where waiting would be wrong the call does not
    // wait. `worker`: the name under which it claims, if any; job_release_worker() ends its sleep.
    Waiting(std::optional<std::int64_t> wait, shared::Purpose purpose, pg::Nullable worker = {});

    // Where the caller is to be woken, to be armed before each look; null when it does not sleep in shared memory.
    shared::Place *place() { return place_ && *place_ ? &*place_ : nullptr; }

    // Sleeps until it is worth a look; to be called after one that found nothing. False: the time is over, or the
    // worker was released, or waiting would be wrong, which a NOTICE says once in a session, and which is counted. No
    // relation may be locked meanwhile. Ends the session when its client is gone.
    bool sleep();

private:
    bool is_dismissed() const { return shared::dismissals::was_dismissed_since(worker_, dismissals_); }
    void poll(long milliseconds, std::uint32_t wait_event);

    shared::Purpose purpose_;
    std::uint64_t worker_;     // shared::dismissals::hash_of_worker(), or 0
    std::uint32_t dismissals_; // shared::dismissals::count_dismissals() before the call
    pg::Moment until_;
    std::optional<Reason> refused_;
    std::optional<shared::Place> place_;
};

} // namespace call
