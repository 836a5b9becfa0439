#include "pg/plan.hpp"

#include <algorithm>

namespace pg {

namespace {

// Named by its text and the types of its parameters: a plan made for other types would take a Datum for what it is not.
// Types that follow the columns of a table, as in the archive, change with an ALTER TABLE while the text stays the
// same.
struct SavedPlan {
    SavedPlan *next;
    char *statement;
    Oid *types;
    std::size_t count;
    SPIPlanPtr plan;

    bool is_for(const char *text, std::span<const Parameter> parameters) const
    {
        return std::strcmp(statement, text) == 0 &&
               std::equal(types, types + count, parameters.begin(), parameters.end(),
                          [](Oid type, const Parameter &parameter) { return type == parameter.type; });
    }
};

// A list, because a process meets a few dozen statements at most. Plans are freed with the process.
SavedPlan *saved_plans = nullptr;

SPIPlanPtr prepare_plan(const char *statement, std::span<const Parameter> parameters)
{
    Oid types[FUNC_MAX_ARGS];
    for (std::size_t i = 0; i < parameters.size(); ++i)
        types[i] = parameters[i].type;
    SPIPlanPtr plan = SPI_prepare(statement, static_cast<int>(parameters.size()), types);
    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    return plan;
}

// A rule DO INSTEAD NOTHING leaves a plan without a query. It depends on no table, so the invalidation that DROP RULE
// sends does not reach it: such a plan is made anew at each use.
bool is_nothing(SPIPlanPtr plan)
{
    ListCell *cell;
    foreach (cell, SPI_plan_get_plan_sources(plan))
        if (static_cast<CachedPlanSource *>(lfirst(cell))->query_list == NIL)
            return true;
    return false;
}

SPIPlanPtr prepared(const char *statement, std::span<const Parameter> parameters)
{
    for (SavedPlan *saved = saved_plans; saved != nullptr; saved = saved->next) {
        if (!saved->is_for(statement, parameters))
            continue;
        if (is_nothing(saved->plan)) {
            SPIPlanPtr plan = prepare_plan(statement, parameters); // may raise: first, so that the list stays whole
            SPI_freeplan(saved->plan);
            saved->plan = plan;
        }
        return saved->plan;
    }
    SPIPlanPtr plan = prepare_plan(statement, parameters);
    auto saved = static_cast<SavedPlan *>(MemoryContextAlloc(TopMemoryContext, sizeof(SavedPlan)));
    saved->statement = MemoryContextStrdup(TopMemoryContext, statement);
    saved->count = parameters.size();
    saved->types = static_cast<Oid *>(MemoryContextAlloc(TopMemoryContext, sizeof(Oid) * std::max(saved->count, 1UL)));
    for (std::size_t i = 0; i < saved->count; ++i)
        saved->types[i] = parameters[i].type;
    saved->plan = plan;
    saved->next = saved_plans;
    saved_plans = saved;
    return plan;
}

} // namespace

void set_constraints_immediate()
{
    ConstraintsSetStmt *all = makeNode(ConstraintsSetStmt);
    all->deferred = false;
    AfterTriggerSetState(all);
}

ByIndex::ByIndex(Order order) : settings_(NewGUCNestLevel())
{
    // A scan that is the only one there is costs, on paper, so much that the statement would be compiled.
    for (const char *setting : {"enable_seqscan", "jit", "enable_sort"})
        if (order == Order::in_order || std::string_view(setting) != "enable_sort")
            (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

// As at the end of a function with SET: what code of the user's has SET meanwhile stays.
ByIndex::~ByIndex() { AtEOXact_GUC(true, settings_); }

std::uint64_t run_sql(const char *statement, std::span<const Parameter> parameters, long row_limit, bool read_only)
{
    SPIPlanPtr plan = prepared(statement, parameters);
    Datum values[FUNC_MAX_ARGS];
    char nulls[FUNC_MAX_ARGS];
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        values[i] = parameters[i].value.value;
        nulls[i] = parameters[i].value.null ? 'n' : ' ';
    }
    const int code = SPI_execute_plan(plan, values, nulls, read_only, row_limit);
    if (code < 0)
        elog(ERROR, "could not run \"%s\": %s", statement, SPI_result_code_string(code));
    return SPI_processed;
}

Rows query(const char *statement, std::span<const Parameter> parameters, RowType types, long row_limit, bool read_only)
{
    const std::uint64_t count = run_sql(statement, parameters, row_limit, read_only);
    SPITupleTable *table = SPI_tuptable;
    if (table == nullptr)
        return {nullptr, 0}; // a rule ran something else instead, which gives no rows
    if (const char *wrong = mismatch(table->tupdesc, types))
        ereport(ERROR,
                (errcode(ERRCODE_DATATYPE_MISMATCH),
                 errmsg("a table was altered so that it cannot be used: a statement gave another row than it is to"),
                 errdetail("%s", wrong), errcontext("SQL statement \"%s\"", statement)));
    return {table, count};
}

} // namespace pg
