#include "pg/foreign_keys.hpp"

#include <algorithm>

#include "pg/scope.hpp"

namespace pg {

// One that is not internal, or has no constraint, somebody made by CREATE TRIGGER: it is a trigger like others.
bool checks_new_row(const Trigger &trigger)
{
    return trigger.tgisinternal && OidIsValid(trigger.tgconstraint) && TRIGGER_FOR_INSERT(trigger.tgtype) &&
           RI_FKey_trigger_type(trigger.tgfoid) == RI_TRIGGER_FK;
}

// InitResultRelInfo() copies the description of all triggers of the table; of the copy only those of the foreign keys
// are left. What is queued is run by the same description, since it is found among the opened result relations.
void ForeignKeys::look_up()
{
    InMemory lasting(memory_);
    estate_ = CreateExecutorState();
    InMemory of_query(estate_->es_query_cxt);
    info_ = makeNode(ResultRelInfo);
    InitResultRelInfo(info_, table_, 0, nullptr, 0);
    estate_->es_opened_result_relations = list_make1(info_);
    if (TriggerDesc *all = info_->ri_TrigDesc) {
        Trigger *end = std::remove_if(all->triggers, all->triggers + all->numtriggers,
                                      [](const Trigger &trigger) { return !checks_new_row(trigger); });
        all->numtriggers = static_cast<int>(end - all->triggers);
    }
}

void ForeignKeys::forget()
{
    if (estate_ == nullptr)
        return;
    ExecResetTupleTable(estate_->es_tupleTable, false); // the slot in which trigger.c fetches the row
    FreeExecutorState(std::exchange(estate_, nullptr));
    info_ = nullptr;
}

// After each row, not at the end of a call with many: so the queue of events holds one row's, whatever the size of the
// call, an error is that of the element at which it is raised, and a call finds the same as on the statement path,
// where each row is a statement.
void ForeignKeys::check(TupleTableSlot *inserted)
{
    if (estate_ == nullptr)
        look_up();
    InMemory of_query(estate_->es_query_cxt);
    // An error leaves the level of the queue to the abort of the (sub)transaction.
    AfterTriggerBeginQuery();
    ExecARInsertTriggers(estate_, info_, inserted, NIL, nullptr);
    AfterTriggerEndQuery(estate_);
}

} // namespace pg
