// The tables that belong to users, who may alter them at any time: which there are, and what each is like. They are
// opened by open_table() (open_table.hpp).
#pragma once

#include "store/shape.hpp"

namespace store {

enum class ApiTable { jobs, job_types, job_attempts, jobs_archive };

// Their columns, as they are made; those of `jobs` are in columns.hpp.
inline constexpr ColumnDefinition types_columns[] = {
    {"job_type", VARCHAROID},         {"description", TEXTOID},     {"job_category", VARCHAROID},
    {"max_retries", INT4OID},         {"backoff", TEXTOID},         {"retry_delay_ms", INT4OID},
    {"retry_delay_max", INTERVALOID}, {"lease", INTERVALOID},       {"timeout", INTERVALOID},
    {"keep_completed", INTERVALOID},  {"keep_failed", INTERVALOID}, {"paused", BOOLOID}};

inline constexpr ColumnDefinition attempts_columns[] = {{"job", UUIDOID, not_null},
                                                        {"attempt", INT4OID, not_null, -1, INT8OID},
                                                        {"worker", TEXTOID},
                                                        {"started_at", TIMESTAMPTZOID},
                                                        {"ended_at", TIMESTAMPTZOID, not_null},
                                                        {"outcome", TEXTOID, not_null},
                                                        {"error_message", TEXTOID},
                                                        {"error_details", JSONBOID}};

// Which table it is, to compare and to ask the catalogs for.
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
