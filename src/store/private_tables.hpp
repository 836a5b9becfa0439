// The tables of the schema jobs_ext, to which no code but ours writes, as sql/parts/30_private_tables.sql makes them:
// the one list, from which all that concerns every one of them follows. They are opened by open_private()
// (open_table.hpp). Which of them follow from `jobs`, and why no lock on their rows is needed, is in key_table.hpp.
#pragma once

#include "store/shape.hpp"

namespace store {

// The derived tables come first, so that DerivedTable (derived.hpp) can count them from 0; of them the whole row is the
// key.
enum class PrivateTable : std::uint8_t {
    queue,
    failed,
    expiring,
    ended,
    blocked,
    children,
    paused,
    set_aside,
    schedules,
    erasures,
    state,
    lanes,
    pauses,
    statistics
};

struct PrivateTableShape {
    const char *name;
    int key_columns; // the primary key is on so many columns, the first ones
    std::array<ColumnDefinition, 8> columns;

    // The columns that the table is made with, in their order: those of the array that have a name.
    constexpr std::span<const ColumnDefinition> columns_made() const
    {
        std::size_t count = 0;
        while (count < columns.size() && columns[count].name != nullptr)
            ++count;
        return {columns.data(), count};
    }
};

// In the order of PrivateTable.
inline constexpr PrivateTableShape private_tables[] = {
    {"queue", 4, {{{"lane", INT4OID}, {"rank", INT2OID}, {"due_at", TIMESTAMPTZOID}, {"job", UUIDOID}}}},
    {"failed", 2, {{{"created_at", TIMESTAMPTZOID}, {"job", UUIDOID}}}},
    {"expiring", 2, {{{"expires_at", TIMESTAMPTZOID}, {"job", UUIDOID}}}},
    {"ended", 4, {{{"lane", INT4OID}, {"rank", INT2OID}, {"ended_at", TIMESTAMPTZOID}, {"job", UUIDOID}}}},
    {"blocked", 2, {{{"created_at", TIMESTAMPTZOID}, {"job", UUIDOID}}}},
    {"children", 2, {{{"parent", UUIDOID}, {"job", UUIDOID}}}},
    {"paused", 2, {{{"created_at", TIMESTAMPTZOID}, {"job", UUIDOID}}}},
    {"set_aside",
     1,
     {{{"job", UUIDOID},
       {"task", TEXTOID},
       {"failures", INT4OID},
       {"since", TIMESTAMPTZOID},
       {"retry_at", TIMESTAMPTZOID},
       {"sqlstate", TEXTOID},
       {"message", TEXTOID}}}},
    {"schedules",
     2,
     {{{"role", OIDOID}, {"name", TEXTOID}, {"job", UUIDOID}, {"enqueued_at", TIMESTAMPTZOID}, {"skipped", INT8OID}}}},
    {"erasures", 2, {{{"organisation", UUIDOID}, {"archived_until", TIMESTAMPTZOID}, {"asked_at", TIMESTAMPTZOID}}}},
    {"state", 1, {{{"mark", TEXTOID}, {"number", OIDOID}, {"version", INT8OID}}}},
    {"lanes", 1, {{{"lane", INT4OID}, {"job_type", TEXTOID}}}},
    {"pauses", 1, {{{"since", TIMESTAMPTZOID}, {"role", TEXTOID}, {"reason", TEXTOID}}}},
    {"statistics",
     1,
     {{{"lane", INT4OID},
       {"since", TIMESTAMPTZOID},
       {"counts", INT8ARRAYOID},
       {"waits", INT4ARRAYOID},
       {"runs", INT4ARRAYOID}}}},
};

inline constexpr int private_table_count = std::size(private_tables);
static_assert(private_table_count == static_cast<int>(PrivateTable::statistics) + 1);

constexpr const PrivateTableShape &shape_of(PrivateTable table) { return private_tables[static_cast<int>(table)]; }

inline constexpr std::array derived_tables = {PrivateTable::queue, PrivateTable::failed,  PrivateTable::expiring,
                                              PrivateTable::ended, PrivateTable::blocked, PrivateTable::children,
                                              PrivateTable::paused};

} // namespace store
