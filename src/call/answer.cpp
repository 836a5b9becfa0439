#include "call/answer.hpp"

namespace call {

JobState state_of(const store::Row &row, pg::Nullable created)
{
    using store::Column;
    static constexpr Column shown[] = {
        Column::id,         Column::job_id,   Column::job_type, Column::status,           Column::attempt,
        Column::retries,    Column::lease_id, Column::run_at,   Column::lease_expires_at, Column::cancel_requested_at,
        Column::finished_at};
    static_assert(std::size(shown) == job_state_columns - 1);
    JobState state;
    for (std::size_t i = 0; i < std::size(shown); ++i) {
        state.values[i] = row.value[store::index_of(shown[i])];
        state.nulls[i] = row.null[store::index_of(shown[i])];
    }
    state.values[job_state_columns - 1] = created.value;
    state.nulls[job_state_columns - 1] = created.null;
    return state;
}

Datum answer(FunctionCallInfo fcinfo, const store::Row &row, pg::Nullable created)
{
    JobState state = state_of(row, created);
    return pg::row_result(fcinfo, job_state_type, state.values, state.nulls);
}

} // namespace call
