// Sessions that sleep in a call: job_claim until a job can be claimed, job_wait until one has ended.
//
// The order that loses no wake: a sleeper arms its place, then looks at the tables with a new snapshot, then sleeps;
// who has something for it makes it visible (its commit), then looks at the places. One of the two sees the other.
// As many sleepers are woken as there are new jobs, the longest asleep first. One that is woken and no longer wants it,
// since it found another job or was cancelled, hands the wake on. One that was woken and is looking is not counted as woken
// a second time; it looks once more where nobody else is left.
#pragma once

#include "prelude.hpp"

namespace shared {

// Lanes that a sleeper can name; with more it is woken for any.
constexpr int max_wanted_lanes = 256;

struct Wish {
    bool any = false; // any lane
    // Wants lanes that it cannot name: too many, or not there yet. Woken as well as those that are counted.
    bool vague = false;
    int lane_count = 0;
    std::int32_t lanes[max_wanted_lanes];

    void add(std::int32_t lane);
};

enum class Purpose : std::uint8_t {
    claim, // a job to claim: what the wish says
    end,   // the end of one job
};

struct Sleeper {
    dlist_node links;
    Oid database;
    std::uint32_t process;
    pg_atomic_uint32 woken;
    std::int32_t woken_for; // lane, or no_lane; until it sleeps again
    bool again;             // while it looked for that, more came: it is to look once more
    Purpose purpose;
    Oid role;             // as whom it waits
    std::uint64_t worker; // hash_of_worker() of the name that it claims under; 0: none
    Wish wish;
    pg_uuid_t job;
};

constexpr std::int32_t no_lane = -1;

// This session's place, from before it looks until its call returns. The end of the transaction frees it, if an error
// skips the destructor.
class Place {
public:
    // No place: the board is not there, or max_waiters are asleep. Those that wait for an end may have half of the places:
    // they may be anybody, and must not keep workers from sleeping. The last tenth is kept for roles that have none: one
    // role's sleepers must not keep all others from sleeping. `worker`: hash_of_worker() of who claims, or 0.
    explicit Place(Purpose purpose, std::uint64_t worker = 0);
    ~Place();
    Place(const Place &) = delete;
    Place &operator=(const Place &) = delete;

    explicit operator bool() const { return has_place_; }

    // From now on it can be woken; to be called before each look.
    void arm(const Wish &wish);
    void arm(const pg_uuid_t &job);

    // Until it is woken, or for so many milliseconds. Raises what interrupts it; ends with the client's
    // connection.
    void sleep(long milliseconds, std::uint32_t wait_event);

    // This transaction took jobs. If none is of the lane for which it was woken, that wake is for somebody else.
    void took_jobs();

    // It got what it wanted: a wake that comes from now on, or came since it was armed, is for somebody else.
    void leave();

private:
    bool has_place_;
};

namespace sleepers {

// What is kept of a worker's name, and of this database: the same name is another worker in another one.
std::uint64_t hash_of_worker(std::string_view name);

// Ends the waits of all that claim under this name in this database, asleep or looking by themselves: they come back without a
// job, but for one that is taking a job at this moment.
void dismiss(std::uint64_t worker);

// How many were dismissed so far, whoever they are; and whether the worker is among those since then.
std::uint32_t dismissals();
bool is_dismissed(std::uint64_t worker, std::uint32_t since);

// Wakes up to `count` sleepers of a database that want the lane; the vague ones besides. Returns how many of either.
int wake(Oid database, std::int32_t lane, int count);

// Those that wait for the end of this job.
void wake_for_end(Oid database, const pg_uuid_t &job);

// All that wait for the end of any job.
void wake_for_any_end(Oid database);

// All of a database: what they know may have changed.
void wake_all(Oid database);

// Whether anybody is asleep, anywhere; and whether for the end of a job.
bool any();
bool any_for_end();

// The lanes that sleepers of a database want and were not woken for, and how many there are.
struct Wanted {
    int sleepers = 0;
    bool all_lanes = false;
    int lane_count = 0;
    std::int32_t lanes[256];

    void add(std::int32_t lane);
};
Wanted wanted(Oid database);

// Frees this session's place, if it has one that it took at this level of subtransactions or below.
void forget(int level = 0);

} // namespace sleepers

} // namespace shared
