#include "store/statement.hpp"

#include "pg/plan.hpp"

namespace store::statement {

namespace {

// In the transaction's memory, not on the stack, because an error leaves the stack before the callbacks below look
// here.
struct Intent {
    Intent *outer;  // a trigger of the user's may call a verb inside a verb
    int nest_level; // of the (sub)transaction that set it
    TableId table;
    Operation operation;
    const Row *row;           // on the verb's stack: not to be read once the statement has raised
    ItemPointerData replaced; // the version whose replacement our BEFORE trigger took for the verb's
    int taken_at;         // in a (sub)transaction of this level our BEFORE trigger has put the row in the place of the
                          // statement's; 0: it has not
    MemoryContext memory; // where the copy of what was written goes: the executor's is gone when the verb reads it
    Row written;
    int written_at; // in one of this level our AFTER trigger has reported; 0: it has not
};

Intent *innermost = nullptr;

Intent *set_intent(const Tables &tables, Operation operation, const Row &row)
{
    auto intent = static_cast<Intent *>(MemoryContextAllocZero(TopTransactionContext, sizeof(Intent)));
    intent->outer = innermost;
    intent->nest_level = GetCurrentTransactionNestLevel();
    intent->table = tables.jobs;
    intent->operation = operation;
    intent->row = &row;
    intent->memory = CurrentMemoryContext;
    innermost = intent;
    return intent;
}

// Ends the intent after the statement returned, and sets the row to what was written. False: nothing was, because a
// trigger, rule or policy swallowed the row.
bool finish_statement(Intent *intent, Row &row)
{
    innermost = intent->outer;
    const bool is_written = intent->written_at != 0;
    if (is_written)
        row = intent->written;
    pfree(intent);
    return is_written;
}

// The innermost intent for this row, taken or not: the BEFORE trigger looks for one that is not, the AFTER trigger for
// one that is.
Intent *find_intent(TableId table, Operation operation, const pg_uuid_t *id, bool taken)
{
    for (Intent *intent = innermost; intent != nullptr; intent = intent->outer)
        if (intent->table == table && intent->operation == operation && (intent->taken_at != 0) == taken &&
            same_id(intent->row->id(), id))
            return intent;
    return nullptr;
}

// Intents of the outermost level have no subtransaction that ends. At a commit there is none left: each statement that
// returned has ended its own. The memory goes with the transaction.
void transaction_ended(XactEvent event, void *)
{
    if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
        innermost = nullptr;
}

// Undone with the subtransaction of this level; else it belongs to the one around it.
void take_back(int &level_of, int level, bool aborted)
{
    if (level_of >= level)
        level_of = aborted ? 0 : level - 1;
}

// The level is still that of the subtransaction that ends. Where it aborts, intents that it or one inside of it set
// belong to verbs that have raised. Those of outer levels belong to verbs that are still in their statements: but what
// a statement inside did with them is undone, because a trigger of the user's may have updated the same row in a block
// with an exception handler, and our triggers took that for the verb's own write.
void subtransaction_ended(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
    const bool aborted = event == SUBXACT_EVENT_ABORT_SUB;
    if (!aborted && event != SUBXACT_EVENT_COMMIT_SUB)
        return;
    const int level = GetCurrentTransactionNestLevel();
    while (aborted && innermost != nullptr && innermost->nest_level >= level)
        innermost = innermost->outer;
    for (Intent *intent = innermost; intent != nullptr; intent = intent->outer) {
        take_back(intent->taken_at, level, aborted);
        take_back(intent->written_at, level, aborted);
    }
}

// The columns that the statement names: those that change. A caller with UPDATE on single columns alone, to cancel, to
// retry and to decide on steps, names the one of them that says what it does, since Postgres asks for a privilege on
// each column that is named; our BEFORE trigger writes the others.
ColumnSet columns_to_name(const Tables &tables, const Row &meant)
{
    if (pg_class_aclcheck(tables.jobs.in_catalogs(), GetUserId(), ACL_UPDATE) == ACLCHECK_OK)
        return meant.changed;
    const bool is_retry = (meant.changed & bit(Column::finished_at)) != 0 && !meant.has(Column::finished_at);
    const bool is_of_steps = (meant.changed & bit(Column::current_step)) != 0;
    return bit(is_retry ? Column::finished_at : is_of_steps ? Column::current_step : Column::cancel_requested_at);
}

// The statement's parameters; add() returns the number of the one that it adds, from 1.
struct Arguments {
    pg::Parameter list[column_count + 1];
    int count = 0;

    int add(Column column, const Row &row)
    {
        list[count++] = {definition_of(column).type, row.get(column)};
        return count;
    }
};

} // namespace

const Row *take_intent(TableId table, Operation operation, const pg_uuid_t *id, const ItemPointerData *replaced)
{
    Intent *intent = find_intent(table, operation, id, false);
    if (intent == nullptr)
        return nullptr;
    intent->taken_at = GetCurrentTransactionNestLevel();
    if (replaced != nullptr)
        intent->replaced = *replaced;
    return intent->row;
}

const Row *report(TableId table, Operation operation, const Row &written, const ItemPointerData *replaced)
{
    Intent *intent = find_intent(table, operation, written.id(), true);
    if (intent == nullptr ||
        (replaced != nullptr && !ItemPointerEquals(&intent->replaced, const_cast<ItemPointer>(replaced))))
        return nullptr;
    MemoryContext before = MemoryContextSwitchTo(intent->memory);
    intent->written = copy(written);
    intent->written_at = GetCurrentTransactionNestLevel();
    MemoryContextSwitchTo(before);
    return intent->row;
}

bool lock_by_id(const pg_uuid_t *id)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    // NO KEY UPDATE, as the UPDATE will take: it does not wait for foreign keys that point at the job (KEY SHARE).
    return pg::run_sql("select 1 from public.jobs where id operator(pg_catalog.=) $1 for no key update", parameters) >
           0;
}

Written update_by_statement(const Tables &tables, Row &row)
{
    const Row meant = row; // the intent points at it, while `row` becomes what was written
    StringInfoData text;
    initStringInfo(&text);
    Arguments arguments;
    arguments.add(Column::id, meant);
    each_column(columns_to_name(tables, meant), [&](Column column) {
        appendStringInfo(&text, "%s %s = $%d", text.len == 0 ? "update public.jobs set" : ",",
                         definition_of(column).name, arguments.add(column, meant));
    });
    appendStringInfoString(&text, " where id operator(pg_catalog.=) $1");

    Intent *intent = set_intent(tables, Operation::update, meant);
    {
        pg::SpiScope spi;
        pg::run_sql(text.data, std::span(arguments.list, arguments.count));
    }
    return finish_statement(intent, row) ? Written::yes : Written::suppressed;
}

namespace {

// The clause by which the INSERT passes over a key that is taken.
//
// The race: two sessions insert the same job_id while a third runs REINDEX CONCURRENTLY, which builds a new index
// beside the old one and has it written before it is valid. ON CONFLICT (job_id) arbitrates in the valid indexes alone:
// where the two sessions meet in the new one, the second gets 23505. ON CONFLICT without names arbitrates in all
// indexes that are written, as TableWriter::add_indexes_on() does. The clause names the column all the same
// - where the user has a key besides: a conflict with that one is a 23505 that the caller is to hear of;
// - under row security: a statement that names the column shows its new row to the policies for SELECT, which is
//   wanted.
// There the moment remains in which the caller gets 23505 and has to try again. Two keys can't be named in one clause:
// RETURNING then has the policies for SELECT see the row, and a conflict with a key of the user's is found out by the
// caller, who finds no job with ours (insert_or_find() in verbs/enqueue.cpp).
//
// Under row security the executor asks the policies' WITH CHECK before it looks for a conflict. So who may not write
// into an organisation hears that, and has neither read nor waited for a job_key of that organisation
// (test/isolation/specs/job-key-tenants.spec).
const char *unless_taken(const Tables &tables, ColumnSet keys)
{
    if (keys == 0)
        return "";
    const bool is_secured = check_enable_rls(tables.jobs.in_catalogs(), InvalidOid, true) == RLS_ENABLED;
    if (!tables.theirs.has_key && !is_secured)
        return " on conflict do nothing";
    if (keys == bit(Column::job_id))
        return " on conflict (job_id) do nothing";
    if (keys == bit(Column::job_key))
        return " on conflict (organisation_id, job_key) where job_key is not null do nothing";
    return " on conflict do nothing returning id";
}

} // namespace

Inserted insert_by_statement(const Tables &tables, Row &row, ColumnSet keys)
{
    const Row meant = row;
    StringInfoData names, places;
    initStringInfo(&names);
    initStringInfo(&places);
    Arguments arguments;
    each_column(all_columns, [&](Column column) {
        const char *comma = arguments.count == 0 ? "" : ", ";
        appendStringInfo(&names, "%s%s", comma, definition_of(column).name);
        appendStringInfo(&places, "%s$%d", comma, arguments.add(column, meant));
    });
    const char *text =
        psprintf("insert into public.jobs (%s) values (%s)%s", names.data, places.data, unless_taken(tables, keys));

    Intent *intent = set_intent(tables, Operation::insert, meant);
    std::uint64_t rows;
    {
        pg::SpiScope spi;
        rows = pg::run_sql(text, std::span(arguments.list, arguments.count));
    }
    const bool taken = intent->taken_at != 0;
    if (finish_statement(intent, row))
        return Inserted::yes;
    // A conflict shows after our BEFORE trigger ran; a trigger of the user's that swallowed the row looks the same. The
    // caller looks for the job that has the key. Where there is none it inserts without keys, which tells them apart:
    // then a swallowed row raises below.
    if (keys != 0 && taken && rows == 0)
        return Inserted::key_taken;
    ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                    errmsg("a trigger or rule on jobs kept the new job from being written")));
}

Written remove_by_statement(const pg_uuid_t *id)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    pg::run_sql("delete from public.jobs where id operator(pg_catalog.=) $1", parameters);
    // Not by the count of rows, since a rule may have done something else instead. The second statement has a snapshot
    // of its own and sees what the first one did.
    const bool there = pg::run_sql("select 1 from public.jobs where id operator(pg_catalog.=) $1", parameters) > 0;
    return there ? Written::suppressed : Written::yes;
}

void watch_statements()
{
    RegisterXactCallback(transaction_ended, nullptr);
    RegisterSubXactCallback(subtransaction_ended, nullptr);
}

} // namespace store::statement
