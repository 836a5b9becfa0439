#include "pg/heap.hpp"

namespace pg {

void start_row(TupleTableSlot *slot)
{
    ExecClearTuple(slot);
    const int columns = slot->tts_tupleDescriptor->natts;
    std::memset(slot->tts_values, 0, sizeof(Datum) * columns);
    std::memset(slot->tts_isnull, true, sizeof(bool) * columns);
}

TableWriter::~TableWriter()
{
    if (info_ != nullptr)
        ExecCloseIndices(info_);
    if (estate_ != nullptr)
        FreeExecutorState(estate_);
}

void TableWriter::open_indexes(bool speculative)
{
    if (info_ != nullptr && (speculative_ || !speculative)) {
        ResetPerTupleExprContext(estate_);
        return;
    }
    InMemory long_lived(memory_);
    if (info_ != nullptr)
        ExecCloseIndices(info_);
    if (estate_ == nullptr)
        estate_ = CreateExecutorState();
    info_ = makeNode(ResultRelInfo);
    InitResultRelInfo(info_, table_, 0, nullptr, 0);
    ExecOpenIndices(info_, speculative);
    speculative_ = speculative;
}

void TableWriter::insert(TupleTableSlot *slot)
{
    open_indexes(false);
    table_tuple_insert(table_, slot, GetCurrentCommandId(true), 0, nullptr);
    insert_index_tuples(info_, slot, estate_, false, false, nullptr, NIL, false);
}

bool TableWriter::insert_unless_taken(TupleTableSlot *slot, Oid unique_index)
{
    open_indexes(true);
    List *arbiters = list_make1_oid(unique_index);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        ItemPointerData existing;
        if (!no_conflict(info_, slot, estate_, &existing, arbiters))
            return false;

        // Another transaction may insert the same key between the check and our index entry: the tuple is tentative
        // until then, and taken back if so.
        const uint32 token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
        table_tuple_insert_speculative(table_, slot, GetCurrentCommandId(true), 0, nullptr, token);
        bool conflict = false;
        insert_index_tuples(info_, slot, estate_, false, true, &conflict, arbiters, false);
        table_tuple_complete_speculative(table_, slot, token, !conflict);
        SpeculativeInsertionLockRelease(GetCurrentTransactionId());
        if (!conflict)
            return true;
    }
}

TM_Result TableWriter::update(ItemPointer tid, TupleTableSlot *slot)
{
    TM_FailureData failure;
    LockTupleMode mode;
    IndexesToUpdate indexes;
    const TM_Result result = table_tuple_update(table_, tid, slot, GetCurrentCommandId(true), GetActiveSnapshot(),
                                                InvalidSnapshot, true, &failure, &mode, &indexes);
    if (result == TM_Ok && any(indexes)) {
        open_indexes(false);
        insert_index_tuples(info_, slot, estate_, true, false, nullptr, NIL, only_summarizing(indexes));
    }
    return result;
}

TM_Result TableWriter::remove(ItemPointer tid)
{
    TM_FailureData failure;
    return table_tuple_delete(table_, tid, GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot, true,
                              &failure, false);
}

bool IndexLookup::find(std::span<const Datum> keys, std::span<const RegProcedure> equal, TupleTableSlot *slot)
{
    ScanKeyData scan_keys[INDEX_MAX_KEYS];
    for (std::size_t i = 0; i < keys.size(); ++i)
        ScanKeyEntryInitialize(&scan_keys[i], 0, static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber, InvalidOid,
                               index_->rd_indcollation[i], equal[i], keys[i]);
    InMemory long_lived(memory_); // an index scan keeps what it allocates on the way
    if (scan_ == nullptr)
        scan_ = begin_index_scan(table_, index_, GetActiveSnapshot(), static_cast<int>(keys.size()));
    index_rescan(scan_, scan_keys, static_cast<int>(keys.size()), nullptr, 0);
    return index_getnext_slot(scan_, ForwardScanDirection, slot);
}

void IndexLookup::end()
{
    if (scan_ != nullptr)
        index_endscan(scan_);
    scan_ = nullptr;
}

} // namespace pg
