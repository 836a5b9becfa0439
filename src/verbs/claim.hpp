// job_claim, and the claiming half of job_next: gives the best due jobs to a worker, each under a new lease.
//
// Many sessions claim at once, while others enqueue, cancel, retry and delete the same jobs and upkeep expires them. A
// claim reads the queue without locking it, so what it reads may be over. The row of `jobs` decides, one job at a time:
//
//   What the claim meets                   What it does
//   another transaction holds the job      leaves it (LockWaitSkip): a claim never waits for a job
//   the job changed since the snapshot     locks nothing, goes on, and looks again under a newer snapshot; at
//                                          REPEATABLE READ there is none, and it leaves the job
//   the queue names a job that is gone     removes the orphan (Derived::remove_orphan)
//   the job has expired                    cancels it and goes on
//
// So two sessions never get one job: the one that first locks the newest version of the row has it, and the other one
// finds it locked or changed. Jobs are taken in the order of the queue, not of their ids, against the lock order of all
// other verbs. That makes no deadlock, because a claim does not wait for any of them.
//
// ROLLBACK, ROLLBACK TO SAVEPOINT, an error and a cancel undo the claim with the transaction: the job stands in the
// queue as before, and the end of the (sub)transaction wakes another sleeper for it (shared/at_commit.hpp). A crash may
// undo a claim whose answer the worker has, since claims do not wait for the disk (store/async_commit.hpp). The job is
// then claimed again under another lease_id, and the first worker gets PT409.
//
// A claim that waits does not miss a job: it arms its place, then looks under a snapshot taken after that. A
// transaction that brings a job makes it visible, then looks at the places (shared/sleepers.hpp).
#pragma once

#include "call/fields.hpp"
#include "shared/sleepers.hpp"
#include "store/jobs.hpp"
#include "store/queue_scan.hpp"

namespace verbs {

struct ClaimRequest {
    pg::Nullable job_types;                         // text[]; null: any
    pg::Nullable category;                          // text, the category of the types; null: any
    pg::Nullable worker;                            // text, for people and for job_release_worker(); null: none
    int max_jobs = 1;                               // 1 to 10000
    std::optional<store::Microseconds> lease, wait; // null: the lease of the type; the call does not wait
};

// The Check of a list of types. Raises 22023 where it is nested, has a null or names a type that is not registered
// (with the nearest names), unless new types register themselves. Here and not when a claim finds no lane: a misspelt
// name would wait for ever.
void job_type_list(pg::Nullable &names, const char *argument);

inline constexpr std::array<call::Field<ClaimRequest>, 0> claim_options = {}; // none is known yet

inline constexpr call::Field<ClaimRequest> claim_fields[] = {
    {"job_types", TEXTARRAYOID, &ClaimRequest::job_types, job_type_list},
    {"max_jobs", INT4OID, &ClaimRequest::max_jobs, call::in_range<1, 10000>},
    {"worker", TEXTOID, &ClaimRequest::worker, call::length_up_to<call::longest_worker>},
    {"lease", INTERVALOID, &ClaimRequest::lease, call::positive_span},
    {"wait", INTERVALOID, &ClaimRequest::wait, call::span_from_zero},
    {"job_category", TEXTOID, &ClaimRequest::category},
    {"options", JSONBOID, call::read_nested<claim_options>, call::json_object},
};

// One look of a call that may wait. `place`: where the call is going to sleep if there is no job; else null. `arm`:
// `kept`, and the place stays as it was armed by the look before. Returns how many jobs were claimed; each is in
// `sink`. Raises what Jobs::open() raises. `verb`: "job_claim()".
enum class Arm : bool { anew, kept };
int claim_once(const ClaimRequest &request, const char *verb, pg::RowSink &sink, shared::Place *place,
               Arm arm = Arm::anew);

// Claims up to request.max_jobs due jobs, best first (store/best_first.hpp), and puts each into `sink`. Returns how
// many. `hints` were noted before the active snapshot was taken. Waits for no row. The caller has asked for the
// privileges (call::require_claim). Raises 40001 outside READ COMMITTED where another transaction has built the queue
// since the snapshot.
int claim_jobs(store::Jobs &jobs, const ClaimRequest &request, store::Hints hints, pg::RowSink &sink);

} // namespace verbs
