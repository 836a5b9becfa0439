// The tables that belong to users, who may alter them at any time: the one way to open them.
//
// open_table() locks first and looks afterwards. Nobody else alters a table while its lock is held; whatever did before is
// seen. So what it returns fits its shape as long as it is open: this session itself can't alter, drop or truncate a table
// that it has open (55006). What it still can, in a trigger or an index expression of the user's, is to make triggers,
// rules, policies and children: whoever keeps a description over such code compares version_of_table() afterwards.
//
// A TableId is no Oid, so that no table of these is opened in another way by mistake.
#pragma once

#include "pg/scope.hpp"
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

const char *name_of_table(ApiTable which);

// Locks the table of that name and looks at it; the lock lasts until the end of the transaction, unless it is told to let
// go. 42P01 when there is none, 42804 when it is not as the code relies on: another kind of relation, a column that is
// missing or of another type; 42501 when it belongs to another role than `jobs` does.
pg::OpenRelation open_table(ApiTable which, LOCKMODE lock);

// Open to be looked at, no longer.
pg::OpenRelation open_table_briefly(ApiTable which);

// The same for a question that nobody depends on: closed where open_table() would raise.
pg::OpenRelation open_if_usable(ApiTable which, LOCKMODE lock);

// What stands on a table runs as its owner, or as that of `jobs`: so all tables and partitions of the API have one. 42501
// for one that has another. It must be locked, else it may change hands.
void require_owner_of_jobs(Oid table);

// Locks the table of that name without looking at it. 42P01.
TableId lock_api_table(ApiTable which, LOCKMODE lock);

// Without a lock: nothing but a hint.
std::optional<TableId> find_table(ApiTable which);

// Another number after each change of the table's definition, or of what its name means. Changes by this session count as
// soon as their command is over, those of others at the next lock.
std::uint64_t version_of_table(ApiTable which);

// Called on relcache invalidations and on changes of schemas.
void api_table_changed(Oid relation);
void any_api_table_changed();

} // namespace store
