#include "store/statement.hpp"

#include "pg/plan.hpp"

namespace store::statement {

namespace {

// In the transaction's memory, not on the stack: an error leaves the stack before the callback below looks here.
struct Intent {
    Intent *outer;  // a trigger of the user's may call a verb inside a verb
    int nest_level; // of the (sub)transaction that set it
    TableId table;
    Operation operation;
    const Row *row;
    bool taken;
    MemoryContext memory; // of what was written
    Row written;
    bool is_written;
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

// Ends the intent; false: nothing was written.
bool finish_statement(Intent *intent, Row &row)
{
    innermost = intent->outer;
    const bool is_written = intent->is_written;
    if (is_written)
        row = intent->written;
    pfree(intent);
    return is_written;
}

Intent *find_intent(TableId table, Operation operation, const pg_uuid_t *id, bool taken)
{
    for (Intent *intent = innermost; intent != nullptr; intent = intent->outer)
        if (intent->table == table && intent->operation == operation && intent->taken == taken &&
            same_id(intent->row->id(), id))
            return intent;
    return nullptr;
}

void transaction_ended(XactEvent event, void *)
{
    if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
        innermost = nullptr;
}

void subtransaction_ended(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
    if (event != SUBXACT_EVENT_ABORT_SUB)
        return;
    while (innermost != nullptr && innermost->nest_level >= GetCurrentTransactionNestLevel())
        innermost = innermost->outer;
}

// The columns that go into the statement: those that change, or the one that a caller who may only cancel may write.
ColumnSet columns_to_name(const Tables &tables, ColumnSet changed)
{
    if (pg_class_aclcheck(tables.jobs.in_catalogs(), GetUserId(), ACL_UPDATE) == ACLCHECK_OK)
        return changed;
    return bit(Column::cancel_requested_at);
}

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

const Row *take_intent(TableId table, Operation operation, const pg_uuid_t *id)
{
    Intent *intent = find_intent(table, operation, id, false);
    if (intent == nullptr)
        return nullptr;
    intent->taken = true;
    return intent->row;
}

const Row *report(TableId table, Operation operation, const Row &written)
{
    Intent *intent = find_intent(table, operation, written.id(), true);
    if (intent == nullptr)
        return nullptr;
    MemoryContext before = MemoryContextSwitchTo(intent->memory);
    intent->written = copy(written);
    intent->is_written = true;
    MemoryContextSwitchTo(before);
    return intent->row;
}

bool lock_by_id(const pg_uuid_t *id)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    return pg::run_sql("select 1 from public.jobs where id operator(pg_catalog.=) $1 for no key update", parameters) >
           0;
}

Written update_by_statement(const Tables &tables, Row &row)
{
    const Row meant = row;
    StringInfoData text;
    initStringInfo(&text);
    Arguments arguments;
    arguments.add(Column::id, meant);
    each_column(columns_to_name(tables, row.changed), [&](Column column) {
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

// Passes over a key that is taken. ON CONFLICT (job_id) means the valid indexes on it alone: while REINDEX CONCURRENTLY
// builds another one beside them, two who insert a key at once may meet in that one, where the second gets 23505.
// Without names all indexes that are written count, as in TableWriter::indexes_on(). But so would a key of the user's,
// whose 23505 is the caller's to know: with one of those the names stay, and in that moment the caller has to try
// again. Likewise under row security, where a statement that names the column has to show its new row to the policies
// for SELECT.
const char *unless_taken(const Tables &tables)
{
    const bool is_secured = check_enable_rls(tables.jobs.in_catalogs(), InvalidOid, true) == RLS_ENABLED;
    return tables.theirs.has_key || is_secured ? " on conflict (job_id) do nothing" : " on conflict do nothing";
}

} // namespace

Inserted insert_by_statement(const Tables &tables, Row &row, bool keyed)
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
    const char *text = psprintf("insert into public.jobs (%s) values (%s)%s", names.data, places.data,
                                keyed ? unless_taken(tables) : "");

    Intent *intent = set_intent(tables, Operation::insert, meant);
    std::uint64_t rows;
    {
        pg::SpiScope spi;
        rows = pg::run_sql(text, std::span(arguments.list, arguments.count));
    }
    const bool taken = intent->taken;
    if (finish_statement(intent, row))
        return Inserted::yes;
    // A conflict shows after our BEFORE trigger ran; a trigger or rule that swallowed the row looks the same. The
    // caller looks for the job that has the key; where there is none it inserts with `keyed` false, which tells them
    // apart.
    if (keyed && taken && rows == 0)
        return Inserted::key_taken;
    ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                    errmsg("a trigger or rule on jobs kept the new job from being written")));
}

Written remove_by_statement(const pg_uuid_t *id)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    pg::run_sql("delete from public.jobs where id operator(pg_catalog.=) $1", parameters);
    // Not by the count of rows: a rule may have done something else instead.
    const bool there = pg::run_sql("select 1 from public.jobs where id operator(pg_catalog.=) $1", parameters) > 0;
    return there ? Written::suppressed : Written::yes;
}

void watch_statements()
{
    RegisterXactCallback(transaction_ended, nullptr);
    RegisterSubXactCallback(subtransaction_ended, nullptr);
}

} // namespace store::statement
