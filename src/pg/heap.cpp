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

namespace {

bool keeps_unique(Form_pg_index index, KeyColumns key)
{
    return index->indisunique && index->indisready && index->indimmediate &&
           std::equal(key.begin(), key.end(), index->indkey.values, index->indkey.values + index->indnkeyatts);
}

// Not by RelationGetIndexPredicate, which runs what is constant in it: functions of the user's, as whoever looks.
bool is_partial(HeapTuple index) { return !heap_attisnull(index, Anum_pg_index_indpred, nullptr); }

// By its row in pg_index, since opening it would lock it.
bool may_keep_unique(Oid index, KeyColumns key)
{
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
    if (!HeapTupleIsValid(tuple))
        return false;
    const bool may = keeps_unique(reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple)), key);
    ReleaseSysCache(tuple);
    return may;
}

bool may_be_read_by(Relation index, KeyColumns key)
{
    Form_pg_index form = index->rd_index;
    return form->indisvalid && keeps_unique(form, key) && !is_partial(index->rd_indextuple) &&
           index->rd_rel->relam == BTREE_AM_OID &&
           std::all_of(index->rd_indoption, index->rd_indoption + form->indnkeyatts,
                       [](int16 option) { return option == 0; }); // ascending
}

// Those whose uniqueness a trigger was to check at the end of the transaction: here it is checked at once.
void require_checked(List *unchecked)
{
    if (unchecked != NIL)
        ereport(ERROR,
                (errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("duplicate key value violates unique constraint \"%s\"",
                                                           get_rel_name(linitial_oid(unchecked)))));
}

} // namespace

OpenRelation open_unique_index(Relation table, KeyColumns key, LOCKMODE lock)
{
    List *indexes = RelationGetIndexList(table);
    if (OidIsValid(table->rd_pkindex)) // most often it is that one
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
        index.unlock_when_closed(lock);
    }
    list_free(indexes);
    return found;
}

bool has_unique_index(Relation table, KeyColumns key)
{
    OpenRelation index = open_unique_index(table, key, AccessShareLock);
    index.unlock_when_closed(AccessShareLock);
    return bool(index);
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
    insert_into_indexes(slot, false, false);
}

void TableWriter::insert_into_indexes(TupleTableSlot *slot, bool update, bool summarizing_only)
{
    const bool keys_stay = update && keys_ == Keys::stay;
    require_checked(insert_index_tuples(info_, slot, estate_, keys_stay, false, nullptr, NIL, summarizing_only));
}

// All that are written, not only those that may be read: a transaction that inserts the same key is met in any of them,
// and in one that is not named it would be an error.
List *TableWriter::indexes_on(KeyColumns key) const
{
    List *found = NIL;
    bool complete = false;
    for (int i = 0; i < info_->ri_NumIndices; ++i) {
        Relation index = info_->ri_IndexRelationDescs[i];
        if (!keeps_unique(index->rd_index, key) || is_partial(index->rd_indextuple))
            continue;
        found = lappend_oid(found, RelationGetRelid(index));
        complete = complete || index->rd_index->indisvalid;
    }
    if (!complete)
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("table \"%s\" was altered so that it cannot be used", RelationGetRelationName(table_)),
                        errdetail("The unique constraint on its key is missing, deferrable or not valid."),
                        errhint("Undo the change; columns, triggers and indexes of your own may stay.")));
    return found;
}

bool TableWriter::insert_unless_taken(TupleTableSlot *slot, KeyColumns key)
{
    open_indexes(true);
    List *arbiters = indexes_on(key);
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
        List *unchecked = insert_index_tuples(info_, slot, estate_, false, true, &conflict, arbiters, false);
        table_tuple_complete_speculative(table_, slot, token, !conflict);
        SpeculativeInsertionLockRelease(GetCurrentTransactionId());
        if (conflict)
            continue;
        require_checked(unchecked);
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
    if (result == TM_Ok && any_index_to_update(indexes)) {
        open_indexes(false);
        insert_into_indexes(slot, true, only_summarizing(indexes));
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
