// What a move from one state to another does to the row of a job. Verbs and triggers share these.
//
// A direct write goes past the table's CHECKs: so each move keeps them by itself, whatever the owner wrote into the row
// that it begins with, as long as that row kept them:
//   check_status, check_priority, check_retry_delay_ms   written from enums, or not at all
//   check_retries              fail() adds one where retries < max_retries; retry() sets 0, and max_retries >= 0 before
//   check_attempt              claim() adds one where may_start(), so never past the greatest integer
//   check_started_timestamp    claim() sets it; what leads back to pending or queued clears it: fail(), release(),
//                              retry(), resume(); complete() finds it set, since the job runs
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

// A move that ends an attempt says so in `row.ended`.

// What any of them may write: store::moved_columns.

// Whether another attempt of the job can be counted.
bool may_start(const Row &row);

// → in_progress: a new attempt under a new lease. No lease: the type's. 22003 when the attempt can't be counted.
void claim(Row &row, const store::Type &type, TimestampTz now, pg::Nullable worker,
           std::optional<store::Microseconds> lease);

store::Microseconds lease_of(const store::Type &type);

// in_progress → completed.
void complete(Row &row, TimestampTz now, pg::Nullable result);

// in_progress → pending while a retry is left, else failed; cancelled if that was asked for.
struct Failure {
    pg::Nullable message;
    std::optional<TimestampTz> run_at; // when to try again; none: by the type's backoff
    bool permanent = false;
    store::AttemptOutcome outcome = store::AttemptOutcome::failed;
    pg::Nullable details = {};
};
void fail(Row &row, const store::Type &type, TimestampTz now, const Failure &failure);

// in_progress → pending without spending a retry; cancelled if that was asked for.
void release(Row &row, TimestampTz now, std::optional<TimestampTz> run_at);

// pending, queued → failed.
void give_up(Row &row, TimestampTz now, pg::Nullable message);

// A running job is asked to stop; the reason becomes its error_message if it does.
void request_cancel(Row &row, TimestampTz now, pg::Nullable reason);

// anything that has not ended → cancelled. No reason: the one given when it was asked for, if any.
void cancel(Row &row, TimestampTz now, pg::Nullable reason);

// pending, queued → paused; paused → queued.
void pause(Row &row);
void resume(Row &row, TimestampTz now, std::optional<TimestampTz> run_at);

// failed, cancelled → queued, with all retries.
void retry(Row &row, TimestampTz now, std::optional<TimestampTz> run_at);

// pending or queued, as a new or returning job is.
void wait(Row &row, TimestampTz now, TimestampTz run_at);

} // namespace job::moves
