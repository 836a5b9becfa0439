// The five tables of the schema public: which there are, and the columns that the code relies on. They belong to a
// user, who may alter them at any time, so no code holds an Oid of one and opens it: open_table() (open_table.hpp)
// locks the table by its name, and then compares it with what is listed here.
#pragma once

#include "store/shape.hpp"

namespace store {

enum class ApiTable { jobs, job_types, job_attempts, job_steps, jobs_archive };

// The columns, as sql/parts makes them; those of `jobs`, which jobs_archive repeats, are in columns.hpp. A column that
// is missing or of another type is 42804; the user's own columns beside them may be anywhere.
inline constexpr ColumnDefinition types_columns[] = {
    {"job_type", VARCHAROID},         {"description", TEXTOID},     {"job_category", VARCHAROID},
    {"max_retries", INT4OID},         {"backoff", TEXTOID},         {"retry_delay_ms", INT4OID},
    {"retry_delay_max", INTERVALOID}, {"lease", INTERVALOID},       {"timeout", INTERVALOID},
    {"keep_completed", INTERVALOID},  {"keep_failed", INTERVALOID}, {"paused", BOOLOID},
    {"keep_attempts", TEXTOID},       {"payload_schema", JSONBOID}};

// Without a limit of length, and in the order of the table, because attempts.cpp writes a table that is exactly like
// this by position. `attempt` may have become bigint: then the table is written by SQL, which converts.
inline constexpr ColumnDefinition attempts_columns[] = {{"job", UUIDOID, not_null},
                                                        {"attempt", INT4OID, not_null, -1, INT8OID},
                                                        {"worker", TEXTOID},
                                                        {"started_at", TIMESTAMPTZOID},
                                                        {"ended_at", TIMESTAMPTZOID, not_null},
                                                        {"outcome", TEXTOID, not_null},
                                                        {"error_message", TEXTOID},
                                                        {"error_details", JSONBOID},
                                                        {"organisation_id", UUIDOID}};

// In the order of the table: the columns of the type `job_step`, and one more.
inline constexpr ColumnDefinition steps_columns[] = {{"job", UUIDOID},
                                                     {"step_number", INT4OID},
                                                     {"step_name", TEXTOID},
                                                     {"description", TEXTOID},
                                                     {"step_type", TEXTOID},
                                                     {"status", TEXTOID},
                                                     {"received", INT4OID},
                                                     {"processed", INT4OID},
                                                     {"passed", INT4OID},
                                                     {"failed", INT4OID},
                                                     {"result", JSONBOID},
                                                     {"decision", JSONBOID},
                                                     {"decided_by", UUIDOID},
                                                     {"error_message", TEXTOID},
                                                     {"metadata", JSONBOID},
                                                     {"started_at", TIMESTAMPTZOID},
                                                     {"completed_at", TIMESTAMPTZOID},
                                                     {"organisation_id", UUIDOID}};

// Which table a name meant when it was looked up: to be compared, and for questions to the catalogs. No Oid, so that it
// cannot be given to relation_open(): another session may drop or rename the table before the caller has a lock.
class TableId {
public:
    constexpr TableId() = default;
    explicit TableId(Relation table) : oid_(RelationGetRelid(table)) {}
    bool operator==(const TableId &) const = default;
    bool operator==(Oid oid) const { return oid_ == oid; }
    Oid in_catalogs() const { return oid_; }

private:
    friend std::optional<TableId> find_table(ApiTable which);
    explicit TableId(Oid oid) : oid_(oid) {}

    Oid oid_ = InvalidOid;
};

} // namespace store
