// The columns of `jobs`: the one list in C++, from which every set of them follows. `columns_of_jobs()` in
// sql/parts/20_types.sql is the one list in SQL; each call compares the two (store/open_table.hpp).
#pragma once

#include <bit>

#include "store/shape.hpp"

namespace store {

// In the order of the table's definition and of the composite type `job`, which is that of their change:
// sql/parts/20_types.sql says why.
enum class Column : int {
    // what never changes
    id,
    job_id,
    job_key,
    job_type,
    job_category,
    organisation_id,
    restaurant_id,
    created_by,
    parent_job_id,
    created_at,
    priority,
    max_retries,
    retry_delay_ms,
    input_payload,
    metadata,
    // what seldom changes
    expires_at,
    total_steps,
    current_step,
    retries,
    run_at,
    // what a claim writes
    attempt,
    started_at,
    lease_id,
    worker,
    // what each move writes, and a heartbeat
    status,
    updated_at,
    lease_expires_at,
    timeout_at,
    heartbeat_at,
    cancel_requested_at,
    progress,
    // what the end writes
    finished_at,
    completed_at,
    cancelled_at,
    execution_time_ms,
    error_message,
    result,
};

// What is said of a column, as bits; below, the set of all columns of which it is said. In one place, because a verb, a
// trigger and a rebuild that each had a list of their own would come to differ.
namespace trait {
using store::not_null;
inline constexpr unsigned needed = not_null | 0x02; // a job in which it is null is refused (23502), or passed over
inline constexpr unsigned needed_to_run = 0x04;     // the same of a running job
inline constexpr unsigned server_owned = 0x08;      // a client's UPDATE leaves it as it is
inline constexpr unsigned starts_empty = 0x10;      // a client's new job has nothing in it
inline constexpr unsigned moved = 0x20;             // a move from one state to another may write it
inline constexpr unsigned lost_by_retry = 0x40;     // job_retry empties it
inline constexpr unsigned never_changes = 0x80;     // a client's UPDATE that changes it is refused (22023)
// What one attempt leaves behind in the row.
inline constexpr unsigned of_attempt = server_owned | starts_empty | moved | lost_by_retry;
} // namespace trait

inline constexpr ColumnDefinition columns[] = {
    {"id", UUIDOID, trait::needed},
    {"job_id", VARCHAROID, trait::needed, 100},
    {"job_key", TEXTOID, trait::never_changes},
    {"job_type", VARCHAROID, trait::needed | trait::never_changes, 50},
    {"job_category", VARCHAROID, 0, 50},
    {"organisation_id", UUIDOID, trait::needed | trait::never_changes},
    {"restaurant_id", UUIDOID},
    {"created_by", UUIDOID, trait::never_changes},
    {"parent_job_id", UUIDOID},
    {"created_at", TIMESTAMPTZOID, trait::needed | trait::server_owned},
    {"priority", INT4OID, trait::needed},
    {"max_retries", INT4OID, trait::needed},
    {"retry_delay_ms", INT4OID, trait::needed},
    {"input_payload", JSONBOID, trait::never_changes},
    {"metadata", JSONBOID, not_null},
    {"expires_at", TIMESTAMPTZOID, trait::moved | trait::lost_by_retry},
    {"total_steps", INT4OID, trait::server_owned | trait::starts_empty},
    {"current_step", INT4OID, trait::server_owned | trait::starts_empty},
    {"retries", INT4OID, trait::needed | trait::server_owned | trait::moved},
    {"run_at", TIMESTAMPTZOID, trait::needed | trait::moved},
    {"attempt", INT4OID, trait::needed | trait::server_owned | trait::moved},
    {"started_at", TIMESTAMPTZOID, trait::needed_to_run | trait::of_attempt},
    {"lease_id", UUIDOID, trait::needed_to_run | trait::of_attempt},
    {"worker", TEXTOID, trait::of_attempt},
    {"status", VARCHAROID, trait::needed | trait::moved, 50},
    {"updated_at", TIMESTAMPTZOID, not_null | trait::moved},
    {"lease_expires_at", TIMESTAMPTZOID, trait::needed_to_run | trait::of_attempt},
    {"timeout_at", TIMESTAMPTZOID, trait::of_attempt},
    {"heartbeat_at", TIMESTAMPTZOID, trait::of_attempt},
    {"cancel_requested_at", TIMESTAMPTZOID, trait::of_attempt},
    {"progress", JSONBOID, trait::starts_empty},
    {"finished_at", TIMESTAMPTZOID, trait::of_attempt},
    {"completed_at", TIMESTAMPTZOID, trait::server_owned | trait::starts_empty | trait::moved},
    {"cancelled_at", TIMESTAMPTZOID, trait::of_attempt},
    {"execution_time_ms", INT4OID, trait::of_attempt},
    {"error_message", TEXTOID, trait::starts_empty | trait::moved},
    {"result", JSONBOID, trait::starts_empty | trait::moved | trait::lost_by_retry},
};

inline constexpr int column_count = std::size(columns);
static_assert(column_count == static_cast<int>(Column::result) + 1);

constexpr int index_of(Column column) { return static_cast<int>(column); }
constexpr const ColumnDefinition &definition_of(Column column) { return columns[index_of(column)]; }

using ColumnSet = std::uint64_t;
constexpr ColumnSet bit(Column column) { return ColumnSet{1} << index_of(column); }

// The columns that have all of these traits; of 0, every column.
constexpr ColumnSet columns_with(unsigned traits)
{
    ColumnSet result = 0;
    for (int i = 0; i < column_count; ++i)
        if ((columns[i].traits & traits) == traits)
            result |= ColumnSet{1} << i;
    return result;
}
inline constexpr ColumnSet needed_columns = columns_with(trait::needed);
inline constexpr ColumnSet columns_needed_to_run = columns_with(trait::needed_to_run);
inline constexpr ColumnSet server_owned_columns = columns_with(trait::server_owned);
inline constexpr ColumnSet columns_that_start_empty = columns_with(trait::starts_empty);
inline constexpr ColumnSet moved_columns = columns_with(trait::moved);
inline constexpr ColumnSet columns_that_never_change = columns_with(trait::never_changes);
inline constexpr ColumnSet columns_lost_by_retry = columns_with(trait::lost_by_retry);
inline constexpr ColumnSet all_columns = columns_with(0);

// Calls `each(Column)` for those in the set, in their order.
template <class Each>
constexpr void each_column(ColumnSet set, Each each)
{
    for (; set != 0; set &= set - 1)
        each(static_cast<Column>(std::countr_zero(set)));
}

} // namespace store
