// The ways in which a worker ends an attempt: complete, fail, release.
#pragma once

#include "job/lease.hpp"
#include "job/refusal.hpp"
#include "store/jobs.hpp"

namespace verbs {

enum class Ending : std::uint8_t { complete, fail, release };

struct Outcome {
    job::Lease lease;
    Ending ending;
    pg::Nullable result;               // complete
    pg::Nullable error_message;        // fail
    pg::Nullable error_details;        // fail
    std::optional<TimestampTz> run_at; // fail, release: when to try again
    bool permanent = false;            // fail
};

inline constexpr call::Field<Outcome> complete_fields[] = {
    {"result", JSONBOID, &Outcome::result, call::allowed_size},
};
inline constexpr call::Field<Outcome> fail_fields[] = {
    {"error_message", TEXTOID, &Outcome::error_message, call::cut_to_size},
    {"run_at", TIMESTAMPTZOID, &Outcome::run_at, call::finite_time},
    {"permanent", BOOLOID, &Outcome::permanent},
    {"error_details", JSONBOID, &Outcome::error_details, call::allowed_size},
};
inline constexpr call::Field<Outcome> release_fields[] = {
    {"run_at", TIMESTAMPTZOID, &Outcome::run_at, call::finite_time},
};

// Ends the attempt. Sets the job's row as it is then. The same outcome again under the same lease changes nothing and
// is no refusal.
std::optional<call::Refusal> finish_job(store::Jobs &jobs, const Outcome &outcome, store::Row &row);

} // namespace verbs
