#include "worker/commands.hpp"

#include <algorithm>

#include "pg/lock.hpp"
#include "pg/subtransaction.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "shared/hints.hpp"
#include "shared/own_counts.hpp"
#include "shared/statistics.hpp"
#include "store/rebuild.hpp"
#include "store/tables.hpp"

namespace worker {

namespace {

ProcessUtility_hook_type next_utility = nullptr;
object_access_hook_type next_object_access = nullptr;

// The database whose worker has to be away while the command runs: the command's own, or the one that it copies.
// InvalidOid: none, or one that the user does not own. Postgres is going to refuse most of those; nobody may send
// workers away without the privilege. (A template may be copied without owning it, but has no worker.)
//
// The name is looked up without a lock, so another session may rename the database before the command locks it. Then
// the wrong worker makes way for a moment, and the command is refused as it would be with any session connected.
Oid to_be_left(const Node *command)
{
    const char *name = nullptr;
    switch (nodeTag(command)) {
    case T_DropdbStmt:
        name = reinterpret_cast<const DropdbStmt *>(command)->dbname;
        break;
    case T_RenameStmt: {
        auto rename = reinterpret_cast<const RenameStmt *>(command);
        if (rename->renameType == OBJECT_DATABASE)
            name = rename->subname;
        break;
    }
    case T_AlterDatabaseStmt:
        name = reinterpret_cast<const AlterDatabaseStmt *>(command)->dbname;
        break;
    case T_CreatedbStmt: {
        name = "template1"; // as Postgres has it
        ListCell *cell;
        foreach (cell, reinterpret_cast<const CreatedbStmt *>(command)->options) {
            auto option = static_cast<DefElem *>(lfirst(cell));
            if (std::strcmp(option->defname, "template") == 0 && option->arg != nullptr)
                name = defGetString(option);
        }
        break;
    }
    default:
        break;
    }
    const Oid oid = name != nullptr ? get_database_oid(name, true) : InvalidOid;
    return OidIsValid(oid) && pg::owns_database(oid, GetUserId()) ? oid : InvalidOid;
}

// Whether the launcher is to read pg_database again after the command.
bool changes_databases(const Node *command)
{
    switch (nodeTag(command)) {
    case T_CreatedbStmt:
    case T_DropdbStmt:
    case T_AlterDatabaseStmt:
        return true;
    case T_RenameStmt:
        return reinterpret_cast<const RenameStmt *>(command)->renameType == OBJECT_DATABASE;
    default:
        return false;
    }
}

// Whether the command ends a prepared transaction. What that one had noted for others went at PREPARE, and the session
// that ends it may be another one: nobody knows its lanes and jobs.
bool ends_prepared(const Node *command)
{
    if (!IsA(command, TransactionStmt))
        return false;
    const TransactionStmtKind kind = reinterpret_cast<const TransactionStmt *>(command)->kind;
    return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
}

// Whether a prepared transaction may have written rows of which the hints have to know. Others than the one that ends
// count too: to forget hints costs a walk, and a search for the one a look at all locks of the server.
bool have_prepared_written()
{
    const Oid schema = get_namespace_oid("jobs_ext", true);
    return OidIsValid(schema) &&
           std::any_of(store::derived_tables.begin(), store::derived_tables.end(), [&](store::PrivateTable table) {
               const Oid oid = get_relname_relid(store::shape_of(table).name, schema);
               return OidIsValid(oid) && pg::is_locked_by_prepared(oid);
           });
}

// The command is in a transaction of its own, and what it committed is visible already. The prepared transaction may
// have made the extension; that it dropped it, the worker finds when it looks.
void prepared_ended(bool has_written)
{
    if (has_written) {
        shared::hints::forget(); // for the same reason
        shared::statistics::doubt_depths();
    }
    shared::databases::ask_for_a_look();
    if (shared::databases::has_no_extension() && OidIsValid(get_extension_oid("jobs_ext", true)))
        shared::databases::extension_changed();
}

// Whether the command is an ALTER TABLE jobs by the owner of `jobs`: anybody else is refused, and must not wait for a
// lock before. NoLock, because the command itself locks the table in a moment; a name that means another table by then
// costs a look. Not in a script of CREATE or ALTER EXTENSION, whose tables may be half made, nor for the parts into
// which Postgres takes one command apart.
bool alters_jobs(const Node *command, ProcessUtilityContext context)
{
    if (!IsA(command, AlterTableStmt) || context == PROCESS_UTILITY_SUBCOMMAND || creating_extension)
        return false;
    const RangeVar *table = reinterpret_cast<const AlterTableStmt *>(command)->relation;
    const std::optional<store::TableId> jobs = store::find_table(store::ApiTable::jobs);
    return jobs && *jobs == RangeVarGetRelid(table, NoLock, true) && pg::owns_table(jobs->in_catalogs(), GetUserId()) &&
           OidIsValid(get_extension_oid("jobs_ext", true));
}

// Does something about the queue in a subtransaction. Where `jobs` cannot be used, for example because a column was
// altered to another type, the command is not to fail for that: the error is dropped. A cancel, a lack of memory or
// 40001 is raised, and undoes the command.
template <class Work>
void try_with_queue(Work work)
{
    const bool has_snapshot = ActiveSnapshotSet();
    if (!has_snapshot)
        PushActiveSnapshot(GetTransactionSnapshot());
    if (ErrorData *error = pg::in_subtransaction(work, pg::ends_the_call))
        FreeErrorData(error);
    if (!has_snapshot)
        PopActiveSnapshot();
}

// Whether the derived tables counted as built before the command. Where they did not, it is not the command that owes
// them.
bool has_queue()
{
    bool is_built = false;
    try_with_queue([&] { is_built = store::tables().is_queue_built(); });
    return is_built;
}

// Builds the derived tables anew after an ALTER TABLE that gave columns of `jobs` other values. The command has `jobs`
// to itself until its transaction ends, so the build waits for nobody. Left to the writers that wait for the command,
// they would all get their locks together, and then each would want the table to itself: a deadlock.
void build_after_alter()
{
    try_with_queue([] { store::ensure_derived_built(); });
}

// ProcessUtility_hook. What must come before the command does (making workers leave, looking whether the queue is
// built); then the command; then what follows from it. If the command raises an error, the rest is skipped, and the end
// of the transaction or savepoint lets workers come back (let_come()).
void utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
             ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination,
             QueryCompletion *completion)
{
    const Node *command = statement->utilityStmt;
    const bool databases = changes_databases(command);
    const bool prepared = ends_prepared(command);
    const bool written = prepared && have_prepared_written(); // while it holds its locks
    const bool had_queue = alters_jobs(command, context) && has_queue();
    if (databases)
        if (const Oid oid = to_be_left(command); OidIsValid(oid))
            shared::databases::keep_away(oid);

    auto run = next_utility != nullptr ? next_utility : standard_ProcessUtility;
    run(statement, query, read_only_tree, context, parameters, environment, destination, completion);

    if (databases)
        shared::notes::databases_changed();
    if (prepared)
        prepared_ended(written);
    if (had_queue)
        build_after_alter();
}

// Whether it is the table in which lanes have their numbers.
bool is_table_of_lanes(Oid relation)
{
    const Oid schema = get_namespace_oid("jobs_ext", true);
    return OidIsValid(schema) && get_rel_namespace(relation) == schema &&
           relation == get_relname_relid(store::shape_of(store::PrivateTable::lanes).name, schema);
}

// object_access_hook. Sees extensions of any name, and CASCADE: it only notes that something changed, and the worker or
// the launcher looks what. Nothing is done at once, because the transaction may still be rolled back.
void object_access(ObjectAccessType access, Oid catalog, Oid object, int sub_object, void *argument)
{
    if (next_object_access != nullptr)
        next_object_access(access, catalog, object, sub_object, argument);
    if (catalog == ExtensionRelationId && (access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP))
        shared::notes::note_extension_changed();
    // With the extension. Another one may be made before the transaction ends, and nobody would find that this one
    // went.
    if (catalog == RelationRelationId && access == OAT_DROP && sub_object == 0 && shared::statistics::are_kept() &&
        is_table_of_lanes(object))
        shared::own_counts::drop_table(object);
}

} // namespace

void watch_commands()
{
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = utility;
    next_object_access = object_access_hook;
    object_access_hook = object_access;
}

} // namespace worker
