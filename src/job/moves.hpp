// What a move from one state to another does to the row of a job. Verbs, maintenance and our triggers share these.
//
// A move changes the row in hand and nothing else: it takes no lock, reads no table, and does not ask whether it is
// legal (logic/states.hpp). The caller has the newest version of the job and writes the row; what follows from that is
// in store/transition.hpp. `now` is settings::now().
//
// A direct write goes past the table's CHECKs: so each move keeps them by itself, whatever the owner wrote into the row
// that it begins with, as long as that row kept them:
//   check_status, check_priority, check_retry_delay_ms   written from enums, or not at all
//   check_retries              fail() adds one where retries < max_retries; retry() sets 0, and max_retries >= 0 before
//   check_attempt              claim() adds one where may_start(), so never past the greatest integer
//   check_started_timestamp    claim() sets it; what leads back to pending or queued clears it: fail(), release(),
//                              retry(), resume(), unblock(); complete() finds it set, since the job runs
//   check_completed_timestamp  complete() sets it, nothing else leads to or from completed
//   check_finished_timestamp   end_job() sets it with each state that has ended; retry(), the one way back, clears it
//   check_lease                claim() sets both; a heartbeat sets the second; nothing clears one of a job that stays
//                              running
// test/pgtap/moves_keep_checks.sql tries each of them from rows at the edges.
#pragma once

#include "store/attempts.hpp"
#include "store/types.hpp"

namespace job::moves {

using store::Row;

// A move that ends an attempt says so in `row.ended`. The columns that a move may write are
// store::moved_columns.

// Whether another attempt of the job can be counted: `attempt` is never reset, and an int4.
bool may_start(const Row &row);

// pending, queued → in_progress: a new attempt under a new lease, of this length; nothing: the type's. The lease's id
// is random, so that no other session can guess it and none of an earlier attempt fits. Raises 22003 unless
// may_start().
void claim(Row &row, const store::Type &type, TimestampTz now, pg::Nullable worker,
           std::optional<store::Microseconds> lease);

// How long a claim of a job of this type lasts, if the caller does not say: jobs_ext.default_lease where the type does
// not say either.
store::Microseconds lease_of(const store::Type &type);

// in_progress → completed.
void complete(Row &row, TimestampTz now, pg::Nullable result);

// in_progress → pending while a retry is left, else failed; cancelled where somebody asked the job to stop, since it
// has stopped now. The next try comes by the type's backoff (logic/backoff.hpp).
struct Failure {
    pg::Nullable message;
    std::optional<TimestampTz> run_at; // when to try again; nothing: by the backoff
    bool permanent = false;            // no retry, though one is left
    store::AttemptOutcome outcome = store::AttemptOutcome::failed;
    pg::Nullable details = {};
};
void fail(Row &row, const store::Type &type, TimestampTz now, const Failure &failure);

// in_progress → pending without spending a retry, at `run_at` or at once; cancelled where somebody asked the job to
// stop.
void release(Row &row, TimestampTz now, std::optional<TimestampTz> run_at);

// in_progress → blocked without spending a retry: the job waits for its children. Cancelled where somebody asked it to
// stop. blocked → queued: they have all ended.
void block(Row &row, TimestampTz now);
void unblock(Row &row, TimestampTz now);

// in_progress → paused without spending a retry: a person has to decide on a step. Cancelled where somebody asked it to
// stop. resume() lets it go on.
void await_decision(Row &row, TimestampTz now);

// pending, queued → failed, where no attempt runs: a client's direct UPDATE, or a job that can't be started once more.
void give_up(Row &row, TimestampTz now, pg::Nullable message);

// Asks a running job to stop: its worker hears of it at the next heartbeat. The reason becomes its error_message at
// once, and stays if the job ends as cancelled; a null one empties it.
void request_cancel(Row &row, TimestampTz now, pg::Nullable reason);

// Any state that has not ended → cancelled. Without a reason the error_message stays: the reason that was given when
// somebody asked the job to stop, if any.
void cancel(Row &row, TimestampTz now, pg::Nullable reason);

// in_progress → a state of the phase held, as paused: a release, at `run_at` or at once when it is resumed, and a
// pause; cancelled where somebody asked the job to stop. The lease's id goes too: every call of the worker that had it
// is refused, also its job_release, which would be taken for the repetition of this one.
void hold_running(Row &row, logic::Status to, TimestampTz now, std::optional<TimestampTz> run_at);

// pending, queued → a state of the phase held; from there → queued, at `run_at`, else when it was due before, but not
// earlier than now.
void hold(Row &row, logic::Status to);
void resume(Row &row, TimestampTz now, std::optional<TimestampTz> run_at);

// failed, cancelled → queued, with all retries, at `run_at` or at once. What the last attempt left behind is emptied;
// what it was stays in job_attempts.
void retry(Row &row, TimestampTz now, std::optional<TimestampTz> run_at);

// → pending where run_at is later than now, else queued.
void wait(Row &row, TimestampTz now, TimestampTz run_at);

} // namespace job::moves
