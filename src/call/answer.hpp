// The answer of a verb: what has become of the job, as one row of the type `job_state`.
#pragma once

#include "pg/function.hpp"
#include "store/row.hpp"

namespace call {

// The row type `job_state` of sql/parts/20_types.sql: these columns of the job, in this order, and `created`, which is
// null but for an enqueue. The types follow from the columns, and each answer is compared with the type as SQL has it.
inline constexpr store::Column job_state_columns[] = {
    store::Column::id,
    store::Column::job_id,
    store::Column::job_type,
    store::Column::status,
    store::Column::attempt,
    store::Column::retries,
    store::Column::lease_id,
    store::Column::run_at,
    store::Column::lease_expires_at,
    store::Column::cancel_requested_at,
    store::Column::finished_at,
};
inline constexpr auto job_state_type = [] {
    std::array<Oid, std::size(job_state_columns) + 1> types;
    types.back() = BOOLOID;
    for (std::size_t i = 0; i < std::size(job_state_columns); ++i)
        types[i] = store::definition_of(job_state_columns[i]).type;
    return types;
}();

// The state of a job as a row, for a function that returns many. What it points to is the row's memory.
pg::RowBuilder state_of(const store::Row &row, pg::Nullable created = {});

// The state of a job as the result of a function that returns one job_state. Raises 42804 where its type was altered.
Datum answer(FunctionCallInfo fcinfo, const store::Row &row, pg::Nullable created = {});

} // namespace call
