// The table `job_steps`: the steps of a job, as its worker or its producer set them, and what came of each.
//
// Written by the verbs of verbs/steps.cpp alone, each under the lock of the job's row in `jobs`, which it writes in the
// same transaction: two sessions never write steps of one job at once, ROLLBACK takes both back, and a snapshot that
// shows the newest version of the job shows its steps. So find_status() may decide by the active snapshot, under which
// the caller is about to write the job (store::change).
//
// Always by SQL, as the owner of the table: the caller needs no privilege on it, since the right to the job is the
// right to its steps. What the owner put on the table runs as the owner, confined (pg/as_owner.hpp).
//
// Each raises 42P01, 42804 and 42501 as open_table() does, and whatever code of the owner's raises; 42501 where there
// is such code and the session holds temporary objects of a third role.
#pragma once

#include "store/row.hpp"

namespace store::steps {

// In the order of the type `job_step` of sql/parts/20_types.sql, which every verb on a step returns.
inline constexpr Oid row_type[] = {UUIDOID, INT4OID, TEXTOID,  TEXTOID,        TEXTOID,       TEXTOID,
                                   INT4OID, INT4OID, INT4OID,  INT4OID,        JSONBOID,      JSONBOID,
                                   UUIDOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID};

enum class Status : std::uint8_t { pending, in_progress, action_required, completed, failed };
std::string_view name_of_status(Status status);

inline constexpr std::string_view step_types[] = {"automatic", "action_required"};

constexpr std::int32_t most_steps = 1000; // of one job; also the greatest number of a step

struct New {
    std::int32_t number = 0;
    pg::Nullable name, description, type, metadata;
};

// What a step becomes. Of what is null, counts, result, decision, who decided and metadata stay as they are;
// error_message does not.
struct Change {
    Status to;
    TimestampTz now;
    pg::Nullable received, processed, passed, failed, result, decision, decided_by, error_message, metadata;
};

// How a step stands, and whether a person is to decide on it (step_type action_required). Nothing: the job has no such
// step. Raises 42804 for a status that an owner made up.
struct Standing {
    Status status;
    bool needs_decision;
};
std::optional<Standing> find_standing(const pg_uuid_t *job, std::int32_t number);
// Whether the decision on a step was this one.
bool is_decision(const pg_uuid_t *job, std::int32_t number, Datum decision);

// The step as it is, a row of row_type in the current memory context. It must be there.
HeapTuple read(const pg_uuid_t *job, std::int32_t number);
// Writes the step, and returns it likewise. Raises 09000 where a trigger or rule kept it from being written.
HeapTuple write(const pg_uuid_t *job, std::int32_t number, const Change &change);

// How many steps the job has once set() has run: those that have begun stay.
std::int64_t count_with(const pg_uuid_t *job, std::span<const New> given);
// Steps that are pending become what is given, or go where they are not given; those that have begun stay as they are.
void set(const Row &job, std::span<const New> given);
// Calls `put` for each step in order.
void each(const pg_uuid_t *job, void (*put)(void *sink, HeapTuple row), void *sink);

// The steps of a job that is going to be archived, in order, as a jsonb array; null: it has none. Of more than 1 MB
// what has no more room is left out: its result, decision and metadata, and `left_out` says how many bytes.
pg::Nullable as_json(const Row &job);

// TRUNCATE of `jobs` takes all steps along.
void remove_all();

} // namespace store::steps
