// A row of `jobs` in hand: our columns, by name. A user's own columns are not in it: a direct write copies them from
// the version that it replaces (store/jobs.cpp).
//
// Values by reference point into the tuple that the row was read from, so a row lives as long as the slot or tuple
// keeps that; copy() makes one that lives longer.
#pragma once

#include "logic/queue_key.hpp"
#include "logic/states.hpp"
#include "pg/function.hpp"
#include "store/columns.hpp"

namespace store {

// The types of all columns, in their order: what the composite type `job` is compared with.
pg::RowType row_type();

inline TimestampTz as_time(Datum value) { return DatumGetTimestampTz(value); }

// The end of an attempt, as job_attempts is to have it (store/attempts.cpp); of one that succeeded, where its type
// keeps those.
enum class AttemptOutcome { failed, lease_expired, timed_out, released, cancelled, completed, blocked };
struct EndedAttempt {
    AttemptOutcome outcome;
    TimestampTz at;
    pg::Nullable error_message, error_details;
};

struct Row {
    std::array<Datum, column_count> value;
    std::array<bool, column_count> null;
    ColumnSet changed = 0; // the columns that were set since the row was read, be it to the same value
    ItemPointerData tid;   // of the version that was read; undefined in a row that comes from no table
    // The attempt that the change ends: what follows from it is in transition.hpp.
    std::optional<EndedAttempt> ended = {};

    bool has(Column column) const { return !null[index_of(column)]; }
    Datum operator[](Column column) const { return value[index_of(column)]; }
    pg::Nullable get(Column column) const { return {value[index_of(column)], null[index_of(column)]}; }

    void set(Column column, pg::Nullable given)
    {
        if (column == Column::status)
            status_.reset();
        value[index_of(column)] = given.null ? Datum{0} : given.value;
        null[index_of(column)] = given.null;
        changed |= bit(column);
    }
    void clear(Column column) { set(column, {}); }

    const pg_uuid_t *id() const { return DatumGetUUIDP(value[index_of(Column::id)]); }
    // text() and number() read the value as it is: the column must not be null. text() detoasts, and its view is not
    // NUL-terminated.
    std::string_view text(Column column) const;
    std::int32_t number(Column column) const { return DatumGetInt32(value[index_of(column)]); }
    std::optional<TimestampTz> time(Column column) const
    {
        if (!has(column))
            return std::nullopt;
        return as_time((*this)[column]);
    }
    void set_time(Column column, TimestampTz instant) { set(column, TimestampTzGetDatum(instant)); }
    void set_number(Column column, std::int32_t number) { set(column, Int32GetDatum(number)); }
    void set_text(Column column, std::string_view text);

    // Where an owner dropped the CHECK, the status may be any word: known_status() returns nothing then, status()
    // raises 42804. Both remember the answer, because a verb asks several times, until the status is set anew.
    std::optional<logic::Status> known_status() const
    {
        if (!status_)
            status_ = logic::parse_status(text(Column::status));
        return status_;
    }
    logic::Status status() const
    {
        if (!known_status())
            raise_unknown_status();
        return *status_;
    }
    void set_status(logic::Status status)
    {
        set_text(Column::status, logic::name_of_status(status));
        status_ = status;
    }

private:
    [[noreturn]] void raise_unknown_status() const;

    mutable std::optional<logic::Status> status_;
};

inline bool same_id(const pg_uuid_t *a, const pg_uuid_t *b) { return std::memcmp(a->data, b->data, UUID_LEN) == 0; }

// A uuid as text, for messages.
char *to_text(const pg_uuid_t *uuid);

// A copy whose values are in the current memory context.
Row copy(const Row &row);

// The number that each column has in `jobs` as it is now: an owner may have dropped a column and added it again.
using ColumnNumbers = std::array<AttrNumber, column_count>;

// Reads our columns of the row in the slot. Raises 23502 where a column is null that every job has, or that every
// running job has: the owner dropped the constraint. C++ would read a null timestamp as one of the year 2000, and a
// null uuid through a null pointer.
Row read_row(const ColumnNumbers &numbers, TupleTableSlot *slot);
// The same, but returns nothing where such a column is null or the status unknown: for the audit, which goes on past
// such a job.
std::optional<Row> read_complete_row(const ColumnNumbers &numbers, TupleTableSlot *slot);
// Raises that 23502.
void require_complete(const Row &row);
// The first column that every job has and that is null here, or nothing.
std::optional<Column> null_in(const Row &row);

// What became of a write to `jobs`.
enum class Written {
    yes,
    changed_meanwhile, // another transaction changed the job first: look again, with a new snapshot
    suppressed,        // a trigger, rule or policy of the user's kept the statement from writing; nothing was written
};

} // namespace store
