#include "worker/commands.hpp"

#include "pg/subtransaction.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "store/rebuild.hpp"
#include "store/tables.hpp"

namespace worker {

namespace {

ProcessUtility_hook_type next_utility = nullptr;
object_access_hook_type next_object_access = nullptr;

// A database whose worker has to be away while the command runs: its own, or the one that it copies. InvalidOid: none,
// or one of somebody else's, so that nobody without privileges sends workers away.
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

// What a prepared transaction did, nobody has noted; but its lanes were told to nobody either: the worker looks.
bool ends_prepared(const Node *command)
{
    if (!IsA(command, TransactionStmt))
        return false;
    const TransactionStmtKind kind = reinterpret_cast<const TransactionStmt *>(command)->kind;
    return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
}

void prepared_ended()
{
    shared::databases::ask_for_a_look();
    if (shared::databases::has_no_extension() && OidIsValid(get_extension_oid("jobs_ext", true)))
        shared::databases::extension_changed();
}

// By its owner: anybody else is refused, and is not to wait for a lock first.
bool alters_jobs(const Node *command, ProcessUtilityContext context)
{
    if (!IsA(command, AlterTableStmt) || context == PROCESS_UTILITY_SUBCOMMAND || creating_extension)
        return false;
    const RangeVar *table = reinterpret_cast<const AlterTableStmt *>(command)->relation;
    const std::optional<store::TableId> jobs = store::find_table(store::ApiTable::jobs);
    return jobs && *jobs == RangeVarGetRelid(table, NoLock, true) && pg::owns_table(jobs->in_catalogs(), GetUserId()) &&
           OidIsValid(get_extension_oid("jobs_ext", true));
}

// Does something about the queue in a subtransaction. Where `jobs` can't be used, that is not the command's business.
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

bool has_queue()
{
    bool is_built = false;
    try_with_queue([&] { is_built = store::tables().is_queue_built(); });
    return is_built;
}

// An ALTER TABLE that gives columns of `jobs` other values leaves the queue to be built. It has `jobs` to itself, and
// builds at once: else all writers that have waited for it get their locks together, and each then wants the table to
// itself.
void build_after_alter()
{
    try_with_queue([] { store::ensure_derived_built(); });
}

void utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
             ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination,
             QueryCompletion *completion)
{
    const Node *command = statement->utilityStmt;
    const bool databases = changes_databases(command);
    const bool prepared = ends_prepared(command);
    const bool had_queue = alters_jobs(command, context) && has_queue();
    if (databases)
        if (const Oid oid = to_be_left(command); OidIsValid(oid))
            shared::databases::keep_away(oid);

    auto run = next_utility != nullptr ? next_utility : standard_ProcessUtility;
    run(statement, query, read_only_tree, context, parameters, environment, destination, completion);

    if (databases)
        shared::notes::databases_changed();
    if (prepared)
        prepared_ended();
    if (had_queue)
        build_after_alter();
}

void object_access(ObjectAccessType access, Oid catalog, Oid object, int sub_object, void *argument)
{
    if (next_object_access != nullptr)
        next_object_access(access, catalog, object, sub_object, argument);
    if (catalog == ExtensionRelationId && (access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP))
        shared::notes::note_extension_changed();
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
