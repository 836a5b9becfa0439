// A row of `jobs` in hand: the columns of ours, by name; a user's own columns are not in it.
#pragma once

#include "logic/queue_key.hpp"
#include "logic/states.hpp"
#include "pg/function.hpp"
#include "store/columns.hpp"

namespace store {

// The composite type `job`: the types of all columns.
pg::RowType row_type();

inline TimestampTz as_time(Datum value) { return DatumGetTimestampTz(value); }

// The end of an attempt that did not succeed, as job_attempts is to have it.
enum class AttemptOutcome { failed, lease_expired, timed_out, released, cancelled };
struct EndedAttempt {
    AttemptOutcome outcome;
    TimestampTz at;
    pg::Nullable error_message, error_details;
};

struct Row {
    std::array<Datum, column_count> value;
    std::array<bool, column_count> null;
    ColumnSet changed = 0; // since it was read
    ItemPointerData tid;   // of the version that was read
    std::optional<EndedAttempt> ended =
        {}; // the attempt that the change ends: what follows from it is in transition.hpp

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

    // Nothing for a word that is none of ours; 42804.
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

    mutable std::optional<logic::Status> status_; // once it was asked for
};

inline bool same_id(const pg_uuid_t *a, const pg_uuid_t *b) { return std::memcmp(a->data, b->data, UUID_LEN) == 0; }

// A uuid as text, for messages.
char *to_text(const pg_uuid_t *uuid);

// A copy that outlives the tuple that the row was read from.
Row copy(const Row &row);

// The number that each column has in the table as it is.
using ColumnNumbers = std::array<AttrNumber, column_count>;

// 23502 when a column that every job has is null: the owner dropped the constraint.
Row read_row(const ColumnNumbers &numbers, TupleTableSlot *slot);
// The same, but nothing where such a column is null or where the status is none that we know.
std::optional<Row> read_complete_row(const ColumnNumbers &numbers, TupleTableSlot *slot);
void require_complete(const Row &row);
// A column of those that is null.
std::optional<Column> null_in(const Row &row);

// What became of a write to `jobs`.
enum class Written {
    yes,
    changed_meanwhile, // another transaction was first: look again
    suppressed,        // a trigger or rule of the user's, or a policy, kept the statement from writing
};

} // namespace store
