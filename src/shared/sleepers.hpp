// Sessions that sleep in a call: job_claim until a job can be claimed, job_wait until one has ended.
//
// Each has a place in the room of its database. Whom to wake is chosen in logic/wakes.hpp; here are memory, locks and
// processes. The states of a place:
//
//              Place()             arm()              sleep(): its look found nothing
//       free ──────────▶ unarmed ────────▶ armed ─────────────────────────────────────▶ asleep
//                                          ▲   │                                        │   ▲
//                 arm(), woken for no lane │   │ wake(), wake_all() …  wake(), …        │   │
//                                          │   ▼                                        │   │
//                                          woken ◀──────────────────────────────────────┘   │
//                                          ▲   │                                            │
//            more came, or another one has │   │ arm(), woken for a lane                    │
//            left it a job in exchange     │   ▼                                            │
//                                         looking ──────────────────────────────────────────┘
//                                                     sleep(): its look found nothing
//
// From every state leave() ends in free: the session has a job, was cancelled, its time is over, its client is gone.
//
// | from → to        | who                                  | lock | what it does                                    |
// |------------------|--------------------------------------|------|-------------------------------------------------|
// | free → unarmed   | the session                          | P, R | takes a ticket; nobody wakes it yet             |
// | unarmed → armed  | the session                          | R    | lists itself as asleep, by what it wants        |
// | armed → asleep   | the session                          | R    | nothing that others see: waits on its latch     |
// | armed, asleep →  | a session that commits or gives back | R    | takes it out of the list; if it is for a lane,  |
// | woken            | jobs or hands a wake on; the worker; |      | notes that and lists it as called; sets its     |
// |                  | a session that releases a worker     |      | flag and then its latch                         |
// | woken → armed    | the session                          | R    | clears its flag, lists itself as asleep         |
// | woken → looking  | the session                          | R    | clears its flag, stays listed as called         |
// | looking → asleep | the session                          | R    | drops its wake, lists itself as asleep          |
// | looking → woken  | a session that has a job more than   | R    | sets its flag, since its snapshot may be too    |
// |                  | there are sleepers for it            |      | old: at sleep() it drops its wake, looks anew   |
// | looking, woken → | a session that took what this one    | R    | notes the lane for which it was woken itself,   |
// | woken            | was woken for (took_jobs())          |      | and sets its flag                               |
// | any → free       | the session, or the end of its       | R, P | takes it out of all lists; hands its wake on if |
// |                  | transaction or savepoint             |      | it was for a lane and it took nothing of that   |
//
// R is the lock of the database's room. P is that of the places, and of which database has which room. Where both are
// held (a room changes hands), P is taken first. Nothing else is taken, and nothing waited for, under either.
//
// No wake is lost, because
// - a sleeper arms its place, then looks at the tables with a new snapshot, then sleeps; a session that has a job for
//   it makes the job visible (its commit), then looks at the places. One of the two sees the other: both pass the lock
//   of the room between. A session that finds without a lock that nobody sleeps has passed a barrier instead
//   (at_commit.cpp), and a place is counted, and has its room, before it is armed;
// - as many sleepers are woken as there are new jobs, the longest asleep first, and a sleeper is woken for one job at a
//   time. That wake ends in one of three ways: the sleeper takes a job of that lane; its look, which began after the
//   wake, finds none (sleep() drops it); or the wake goes to another one (took_jobs(), leave());
// - a sleeper that is looking is not woken for a second job, because it takes one job only. Where no other sleeper is
//   left for a job that came meanwhile, it looks once more;
// - a vague sleeper, which cannot name its lanes, is woken by each job and counts for none.
//
// None of this walks over sleepers that are not to be woken (Wakes.cost_nothing_of_others in test/unit/wakes_test.cpp).
#pragma once

#include "logic/wakes.hpp"
#include "prelude.hpp"

namespace shared {

using logic::wakes::Purpose;
using logic::wakes::Wish;

// This session's place among the sleepers, from before it looks until its call returns. Where an error skips the
// destructor, the end of the (sub)transaction that took the place frees it (free_my_place()), and of one that lasts for
// the whole call the abort of any transaction of it; the end of the process aborts its transaction, so a session that
// is terminated leaves none behind. A call: arm(), look, sleep() until the look finds something.
class Place {
public:
    // Takes a place. It has none (false) where nothing is shared, where this session is in a call that has one already
    // (a trigger of a user's may wait inside of a claim), where jobs_ext.max_waiters are asleep, or where
    // logic::wakes::may_have_a_place() keeps the rest for others: the caller looks ten times a second instead.
    // `worker`: dismissals::hash_of_worker() of the client that claims, or 0. `lasts`: of a call that commits and goes
    // on the place outlives the commit, with its ticket, so that it keeps its turn.
    enum class Lasts : bool { transaction, call };
    explicit Place(Purpose purpose, std::uint64_t worker = 0, Lasts lasts = Lasts::transaction);
    ~Place();
    Place(const Place &) = delete;
    Place &operator=(const Place &) = delete;

    explicit operator bool() const { return has_place_; }

    // From now on it can be woken. To be called before each look, and the look must take its snapshot after it: a
    // commit that came before this woke nobody, and is visible to that snapshot.
    void arm(const Wish &wish);
    void arm(const pg_uuid_t &job);

    // Sleeps until it is woken, or for so many milliseconds; at once where it was woken since it was armed. Raises what
    // interrupts it: 57014 for a cancel or statement_timeout, FATAL 57P01 for pg_terminate_backend(), FATAL 08006 for a
    // client that has closed its connection. `wait_event`: what pg_stat_activity shows.
    void sleep(long milliseconds, std::uint32_t wait_event);

    // This transaction took jobs; `took` says whether one of a lane. If none is of the lane for which this place was
    // woken, that wake is for another sleeper. The transaction may still roll back: then it gives its jobs back, and
    // wakes somebody for each (at_commit.cpp). `took` is asked under a lock, and must raise nothing.
    void took_jobs(bool (*took)(std::int32_t lane));

    // Frees the place. A wake that came since it was armed and was not used goes to another sleeper.
    void leave();

private:
    bool has_place_;
};

namespace sleepers {

using logic::wakes::Wanted;

// To be called from _PG_init while libraries are preloaded.
void request_sleepers();

// Ends the waits of all calls that claim under this name (dismissals::hash_of_worker()) in this database, asleep or
// looking by themselves: they come back without a job, but for one that is taking a job at this moment. Takes effect at
// once, not at commit.
void dismiss_sleepers(std::uint64_t worker);

// Wakes up to `count` sleepers of a database that want the lane, and all vague ones besides. Returns how many of
// either. This and the next three raise nothing, and are called at commit; where nobody sleeps they cost a read of a
// counter. Their caller must have passed a memory barrier since it made visible what it wakes for.
int wake_up_to(Oid database, std::int32_t lane, int count);

// Wakes those that wait for the end of this job; others of the same hash are not woken.
void wake_waiters_for(Oid database, const pg_uuid_t &job);

// Wakes all that wait for the end of any job.
void wake_all_waiters(Oid database);

// Wakes all sleepers of a database, because what they know may have changed: types, lanes, whether a worker is there.
void wake_all_sleepers(Oid database);

// Whether any session, of any database, has a place to claim; and whether one has a place to wait for the end of a job.
// Without a lock.
bool is_anybody_asleep();
bool is_anybody_waiting();

// What sleepers of a database want, as far as they were not woken for it. For the worker, which looks at those lanes
// only.
Wanted lanes_wanted(Oid database);

// Frees this session's place, if it has one that it took at this level of subtransactions or below: 1 is the
// transaction's own, and 0 frees one that lasts for its call as well. A place that was taken before a savepoint
// outlives the rollback to it: its call, which is around the savepoint, goes on.
void free_my_place(int level = 0);

} // namespace sleepers

} // namespace shared
