// How jobs go back to the caller.
#pragma once

#include "pg/function.hpp"
#include "store/row.hpp"

namespace call {

// The row type `job_state`: columns of the job, and `created`, which is null but for an enqueue.
struct StateColumn {
    store::Column column;
    Oid type;
};
inline constexpr StateColumn job_state_columns[] = {
    {store::Column::id, UUIDOID},
    {store::Column::job_id, TEXTOID},
    {store::Column::job_type, TEXTOID},
    {store::Column::status, TEXTOID},
    {store::Column::attempt, INT4OID},
    {store::Column::retries, INT4OID},
    {store::Column::lease_id, UUIDOID},
    {store::Column::run_at, TIMESTAMPTZOID},
    {store::Column::lease_expires_at, TIMESTAMPTZOID},
    {store::Column::cancel_requested_at, TIMESTAMPTZOID},
    {store::Column::finished_at, TIMESTAMPTZOID},
};
inline constexpr auto job_state_type = [] {
    std::array<Oid, std::size(job_state_columns) + 1> types;
    types.back() = BOOLOID;
    for (std::size_t i = 0; i < std::size(job_state_columns); ++i)
        types[i] = job_state_columns[i].type;
    return types;
}();

pg::RowBuilder state_of(const store::Row &row, pg::Nullable created = {});

// As the result of a function that returns one job_state.
Datum answer(FunctionCallInfo fcinfo, const store::Row &row, pg::Nullable created = {});

} // namespace call
