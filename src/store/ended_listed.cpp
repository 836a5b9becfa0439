#include "store/ended_listed.hpp"

#include "pg/heap.hpp"
#include "store/open_table.hpp"
#include "store/private_tables.hpp"
#include "store/types.hpp"

namespace store {

namespace {

// The row of `state`; the brackets keep its name apart from those of triggers, as of the others (built_under.hpp).
constexpr const char *name = "(own times)";

bool is_ours(TupleTableSlot *row)
{
    bool null;
    return pg::text_view(slot_getattr(row, 1, &null)) == name;
}

} // namespace

bool is_ended_listed()
{
    const auto wanted = static_cast<std::int64_t>(types::own_times());
    pg::OpenRelation table = open_private(PrivateTable::state, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    pg::TableScan rows(table, GetActiveSnapshot());
    bool null;
    while (TupleTableSlot *row = rows.next())
        if (is_ours(row))
            return DatumGetInt64(slot_getattr(row, 3, &null)) == wanted;
    return wanted == 0;
}

void note_ended_listed(std::uint64_t own_times)
{
    const pg::OpenRelation table = open_private(PrivateTable::state, ShareRowExclusiveLock);
    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
    {
        pg::TableWriter writer(table);
        pg::TableScan rows(table, GetActiveSnapshot());
        while (TupleTableSlot *row = rows.next())
            if (is_ours(row))
                writer.remove(&row->tts_tid);
        rows.end();
        CommandCounterIncrement();
        pg::Slot slot(table);
        pg::start_row(slot);
        slot->tts_values[0] = CStringGetTextDatum(name);
        slot->tts_values[1] = ObjectIdGetDatum(InvalidOid);
        slot->tts_values[2] = Int64GetDatum(static_cast<std::int64_t>(own_times));
        std::memset(slot->tts_isnull, false, 3);
        ExecStoreVirtualTuple(slot);
        writer.insert(slot);
    }
    PopActiveSnapshot();
    CommandCounterIncrement();
}

} // namespace store
