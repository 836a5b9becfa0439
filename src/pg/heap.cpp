#include "pg/heap.hpp"

#include <algorithm>

namespace pg {

void start_row(TupleTableSlot *slot)
{
    ExecClearTuple(slot);
    const int columns = slot->tts_tupleDescriptor->natts;
    std::memset(slot->tts_values, 0, sizeof(Datum) * columns);
    std::memset(slot->tts_isnull, true, sizeof(bool) * columns);
}

// heap_page_prune_opt() clears a page that has less room than the fillfactor wants, or where an update found none
// (PageSetFull(), a hint). A page that has that much, but not the row's length besides, takes no row either.
void clear_page_for(Relation table, HeapTuple row)
{
    const BlockNumber block = RelationGetTargetBlock(table);
    if (block == InvalidBlockNumber || table->rd_tableam != GetHeapamTableAmRoutine())
        return;
    const Size wanted = MAXALIGN(row->t_len) + RelationGetTargetPageFreeSpace(table, HEAP_DEFAULT_FILLFACTOR);
    Buffer buffer = ReadBuffer(table, block);
    Page page = BufferGetPage(buffer);
    // Without a lock, as there: what is wrong a moment later costs a look in vain.
    if (TransactionIdIsValid(reinterpret_cast<PageHeader>(page)->pd_prune_xid) && PageGetHeapFreeSpace(page) < wanted) {
        LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
        PageSetFull(page);
        LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
        heap_page_prune_opt(table, buffer);
    }
    ReleaseBuffer(buffer);
}

std::span<TupleTableSlot *const> Slots::first(std::size_t count)
{
    Assert(count <= most);
    InMemory long_lived(memory_);
    for (; made_ < count; ++made_)
        slots_[made_] = table_slot_create(table_, nullptr);
    return std::span(slots_).first(count);
}

void Slots::clear()
{
    for (std::size_t i = 0; i < made_; ++i)
        ExecClearTuple(slots_[i]);
}

namespace {

// A deferrable index (not indimmediate) lets duplicates in until the transaction ends.
bool has_key(Form_pg_index index, UniqueKey::Columns key)
{
    return index->indisunique && index->indimmediate &&
           std::equal(key.begin(), key.end(), index->indkey.values, index->indkey.values + index->indnkeyatts);
}

// Whether no row that has the key is left out of the index.
bool is_complete(Relation index, const UniqueKey &key)
{
    if (heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr))
        return true;
    return key.where_set && column_that_is_set(index->rd_indextuple) == key.columns.back();
}

// By its row in pg_index, because to open an index is to lock it, and a REINDEX of one that is not for us may have it.
bool may_keep_unique(Oid index, const UniqueKey &key)
{
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
    if (!HeapTupleIsValid(tuple))
        return false;
    const bool may = has_key(reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple)), key.columns);
    ReleaseSysCache(tuple);
    return may;
}

// For an index that is open, hence locked: what this says stays true.
bool may_be_read_by(Relation index, const UniqueKey &key)
{
    Form_pg_index form = index->rd_index;
    return form->indisvalid && form->indisready && keeps_unique(index, key) && index->rd_rel->relam == BTREE_AM_OID &&
           std::all_of(index->rd_indoption, index->rd_indoption + form->indnkeyatts,
                       [](int16 option) { return option == 0; }); // ascending
}

// ExecInsertIndexTuples() returns the deferrable indexes in which it met the key and whose check it leaves to a trigger
// at the end of the transaction. We queue no triggers, so it is an error now, even if the other row would have gone by
// then. A table with such an index is mostly written by statement (store::has_late_index()).
void require_checked(List *unchecked)
{
    if (unchecked != NIL)
        ereport(ERROR,
                (errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("duplicate key value violates unique constraint \"%s\"",
                                                           get_rel_name(linitial_oid(unchecked)))));
}

} // namespace

bool keeps_unique(Relation index, const UniqueKey &key)
{
    return has_key(index->rd_index, key.columns) && is_complete(index, key);
}

OpenRelation open_unique_index(Relation table, const UniqueKey &key, LOCKMODE lock)
{
    List *indexes = RelationGetIndexList(table);
    if (OidIsValid(table->rd_pkindex)) // set by RelationGetIndexList(); most often it is that one
        indexes = lcons_oid(table->rd_pkindex, indexes);
    OpenRelation found;
    ListCell *cell;
    foreach (cell, indexes) {
        if (!may_keep_unique(lfirst_oid(cell), key))
            continue;
        OpenRelation index(lfirst_oid(cell), lock);
        if (may_be_read_by(index, key)) {
            found = std::move(index);
            break;
        }
        // It has the key, but is partial, descending or not yet valid. Nothing was read under its lock.
        index.unlock_when_closed(lock);
    }
    list_free(indexes);
    return found;
}

bool has_unique_index(Relation table, const UniqueKey &key)
{
    OpenRelation index = open_unique_index(table, key, AccessShareLock);
    index.unlock_when_closed(AccessShareLock);
    return bool(index);
}

void TableWriter::insert(TupleTableSlot *slot)
{
    indexes_.open_for(slot);
    table_tuple_insert(table_, slot, GetCurrentCommandId(true), 0, nullptr);
    insert_into_indexes(slot, false, false);
}

// Opens the indexes before it writes a row, because code of the user's, in an expression of an index, cannot drop or
// rebuild one that is open.
void TableWriter::write_rows(std::span<TupleTableSlot *const> rows)
{
    for (TupleTableSlot *row : rows)
        indexes_.open_for(row);
    table_multi_insert(table_, const_cast<TupleTableSlot **>(rows.data()), static_cast<int>(rows.size()),
                       GetCurrentCommandId(true), 0, nullptr);
}

void TableWriter::insert_into_indexes(TupleTableSlot *slot, bool update, bool summarizing_only)
{
    require_checked(indexes_.insert(slot, update && keys_ == Keys::stay, summarizing_only));
}

// The arbiters of insert_unless_taken(): all indexes that keep the key unique for writers, not only the valid ones:
// indisready is enough, because every transaction inserts into it. While REINDEX CONCURRENTLY builds a second one, a
// transaction that inserts the same key may be met in either, and in one that is no arbiter this would be 23505. One
// must be valid, because an index that is being built does not have all rows yet.
List *TableWriter::add_indexes_on(const UniqueKey &key, const ResultRelInfo *info, List *found) const
{
    bool valid = false;
    for (int i = 0; i < info->ri_NumIndices; ++i) {
        Relation index = info->ri_IndexRelationDescs[i];
        if (index == nullptr || !index->rd_index->indisready || !keeps_unique(index, key))
            continue;
        found = lappend_oid(found, RelationGetRelid(index));
        valid = valid || index->rd_index->indisvalid;
    }
    if (!valid)
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("table \"%s\" was altered so that it cannot be used", RelationGetRelationName(table_)),
                        errdetail("The unique constraint on its key is missing, deferrable or not valid."),
                        errhint("Undo the change; columns, triggers and indexes of your own may stay.")));
    return found;
}

bool TableWriter::insert_unless_taken(TupleTableSlot *slot, std::span<const UniqueKey> keys)
{
    indexes_.open_for(slot);
    ResultRelInfo *info = indexes_.for_speculation();
    EState *estate = indexes_.estate();
    List *arbiters = NIL;
    for (const UniqueKey &key : keys)
        arbiters = add_indexes_on(key, info, arbiters);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        // Waits for a transaction that has inserted the key and has not ended; then looks again.
        ItemPointerData existing;
        if (!no_conflict(info, slot, estate, &existing, arbiters))
            return false;

        // Another transaction may insert the same key between the check and our index entry. So the tuple is tentative
        // until all entries are made: who meets it waits for our token, not for our whole transaction, so that two
        // sessions that insert one key cannot wait for each other. If there was a conflict, the tuple is taken back and
        // all begins anew ("Speculative insertion" in execIndexing.c).
        const uint32 token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
        table_tuple_insert_speculative(table_, slot, GetCurrentCommandId(true), 0, nullptr, token);
        bool conflict = false;
        List *unchecked = insert_index_tuples(info, slot, estate, false, true, &conflict, arbiters, false);
        table_tuple_complete_speculative(table_, slot, token, !conflict);
        SpeculativeInsertionLockRelease(GetCurrentTransactionId());
        if (conflict)
            continue;
        require_checked(unchecked);
        return true;
    }
}

bool TableWriter::try_insert(TupleTableSlot *slot)
{
    indexes_.open_for(slot);
    if (!indexes_.is_one_plain())
        return false;
    table_tuple_insert(table_, slot, GetCurrentCommandId(true), 0, nullptr);
    if (indexes_.insert_into_one(slot))
        return true;
    // A command may not delete what it inserted itself. Nobody else can have seen the row, and the active snapshot is
    // older than it.
    CommandCounterIncrement();
    if (remove(&slot->tts_tid) != TM_Ok)
        elog(ERROR, "row of \"%s\" was changed while it was inserted", RelationGetRelationName(table_));
    CommandCounterIncrement(); // a snapshot that is taken from now on does not show it
    return false;
}

TM_Result TableWriter::update(ItemPointer tid, TupleTableSlot *slot)
{
    TM_FailureData failure;
    LockTupleMode mode;
    IndexesToUpdate to_update;
    const TM_Result result = table_tuple_update(table_, tid, slot, GetCurrentCommandId(true), GetActiveSnapshot(),
                                                InvalidSnapshot, true, &failure, &mode, &to_update);
    // Nothing to do after a heap-only update: the index entries of the old version lead to the new one.
    if (result == TM_Ok && any_index_to_update(to_update)) {
        indexes_.open_for(slot);
        insert_into_indexes(slot, true, only_summarizing(to_update));
    }
    return result;
}

TM_Result TableWriter::remove(ItemPointer tid)
{
    TM_FailureData failure;
    return table_tuple_delete(table_, tid, GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot, true,
                              &failure, false);
}

void remove_all_rows(Relation table)
{
    TableWriter writer(table);
    TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next())
        writer.remove(&slot->tts_tid);
}

bool is_being_removed(TupleTableSlot *slot)
{
    if (!TTS_IS_BUFFERTUPLE(slot))
        return false; // of another table access method than heap
    const auto in_page = reinterpret_cast<const BufferHeapTupleTableSlot *>(slot);
    LockBuffer(in_page->buffer, BUFFER_LOCK_SHARE);
    const HeapTupleHeader header = in_page->base.tuple->t_data;
    const auto flags = header->t_infomask;
    const TransactionId remover = HeapTupleHeaderGetRawXmax(header);
    LockBuffer(in_page->buffer, BUFFER_LOCK_UNLOCK);
    if ((flags & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) != 0 || HEAP_XMAX_IS_LOCKED_ONLY(flags))
        return false;
    return (flags & HEAP_XMAX_COMMITTED) != 0 || TransactionIdIsCurrentTransactionId(remover) ||
           TransactionIdIsInProgress(remover) || TransactionIdDidCommit(remover);
}

bool IndexLookup::find(std::span<const Datum> keys, std::span<const RegProcedure> equal, TupleTableSlot *slot)
{
    ScanKeyData scan_keys[INDEX_MAX_KEYS];
    for (std::size_t i = 0; i < keys.size(); ++i)
        ScanKeyEntryInitialize(&scan_keys[i], 0, static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber, InvalidOid,
                               index_->rd_indcollation[i], equal[i], keys[i]);
    // The scan outlives the memory of the row in which it is begun, and keeps what it allocates on the way.
    InMemory long_lived(memory_);
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
