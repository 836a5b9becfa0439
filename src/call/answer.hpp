// How jobs go back to the caller.
#pragma once

#include "pg/function.hpp"
#include "store/row.hpp"

namespace call {

// The row type `job_state`. `created` is null but for an enqueue.
inline constexpr Oid job_state_type[] = {UUIDOID,        TEXTOID,        TEXTOID,        TEXTOID,
                                         INT4OID,        INT4OID,        UUIDOID,        TIMESTAMPTZOID,
                                         TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID};
constexpr int job_state_columns = std::size(job_state_type);
struct JobState {
    Datum values[job_state_columns];
    bool nulls[job_state_columns];
};
JobState state_of(const store::Row &row, pg::Nullable created = {});

// As the result of a function that returns one job_state.
Datum answer(FunctionCallInfo fcinfo, const store::Row &row, pg::Nullable created = {});

} // namespace call
