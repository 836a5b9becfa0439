// What a move from one state to another does to the row of a job. Verbs and triggers share these.
#pragma once

#include "store/attempts.hpp"
#include "store/types.hpp"

namespace verbs::moves {

using store::Row;

// What any of them may write.
inline constexpr store::ColumnSet written =
    store::bit(store::Column::status) | store::bit(store::Column::result) | store::bit(store::Column::error_message) |
    store::bit(store::Column::retries) | store::bit(store::Column::execution_time_ms) |
    store::bit(store::Column::started_at) | store::bit(store::Column::completed_at) |
    store::bit(store::Column::cancelled_at) | store::bit(store::Column::updated_at) |
    store::bit(store::Column::run_at) | store::bit(store::Column::attempt) | store::bit(store::Column::lease_id) |
    store::bit(store::Column::worker) | store::bit(store::Column::lease_expires_at) |
    store::bit(store::Column::timeout_at) | store::bit(store::Column::heartbeat_at) |
    store::bit(store::Column::finished_at) | store::bit(store::Column::cancel_requested_at) |
    store::bit(store::Column::expires_at);

// → in_progress: a new attempt under a new lease. No lease: the type's.
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

} // namespace verbs::moves
