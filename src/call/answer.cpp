#include "call/answer.hpp"

namespace call {

pg::RowBuilder state_of(const store::Row &row, pg::Nullable created)
{
    pg::RowBuilder state(job_state_type);
    for (const store::Column column : job_state_columns)
        state.add(row.get(column));
    state.add(created);
    return state;
}

Datum answer(FunctionCallInfo fcinfo, const store::Row &row, pg::Nullable created)
{
    return pg::row_result(fcinfo, state_of(row, created));
}

} // namespace call
