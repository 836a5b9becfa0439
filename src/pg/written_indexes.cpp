#include "pg/written_indexes.hpp"

#include "pg/scope.hpp"

namespace pg {

namespace {

// Whether an entry is made without a question. A deferrable one (not immediate) lets duplicates in until the
// transaction ends.
bool is_plain(Relation index, const IndexInfo *info)
{
    return info->ii_Expressions == NIL && info->ii_Predicate == NIL && info->ii_ExclusionOps == nullptr &&
           index->rd_index->indimmediate;
}

} // namespace

WrittenIndexes::~WrittenIndexes()
{
    for (int i = 0; i < count_; ++i)
        if (open_[i] != nullptr) {
            end_index_inserts(open_[i], infos_[i]);
            if (open_[i] != open_index_)
                index_close(open_[i], NoLock);
        }
    if (estate_ != nullptr)
        FreeExecutorState(estate_);
}

void WrittenIndexes::read_list()
{
    List *indexes = RelationGetIndexList(table_);
    count_ = list_length(indexes);
    listed_ = static_cast<Listed *>(palloc0(sizeof(Listed) * (count_ + 1)));
    open_ = static_cast<Relation *>(palloc0(sizeof(Relation) * (count_ + 1)));
    infos_ = static_cast<IndexInfo **>(palloc0(sizeof(IndexInfo *) * (count_ + 1)));
    for (int i = 0; i < count_; ++i) {
        const Oid oid = list_nth_oid(indexes, i);
        listed_[i] = {oid, left_out_ != nullptr ? left_out_->column_of(oid) : AttrNumber{InvalidAttrNumber}};
    }
    list_free(indexes);
}

void WrittenIndexes::open(int number)
{
    const Oid oid = listed_[number].oid;
    const bool is_open = open_index_ != nullptr && RelationGetRelid(open_index_) == oid;
    open_[number] = is_open ? open_index_ : open_relation(oid, RowExclusiveLock);
    infos_[number] = BuildIndexInfo(open_[number]);
    all_plain_ = all_plain_ && is_plain(open_[number], infos_[number]);
    ++open_count_;
}

void WrittenIndexes::open_for(TupleTableSlot *row)
{
    // Expressions and predicates of indexes were evaluated there for the row before.
    if (estate_ != nullptr)
        ResetPerTupleExprContext(estate_);
    if (listed_ != nullptr && open_count_ == count_)
        return;
    InMemory long_lived(memory_);
    if (listed_ == nullptr)
        read_list();
    for (int i = 0; i < count_; ++i) {
        const AttrNumber column = listed_[i].left_out_where_null;
        if (open_[i] == nullptr && (column == InvalidAttrNumber || !slot_attisnull(row, column)))
            open(i);
    }
}

ResultRelInfo *WrittenIndexes::for_executor()
{
    if (executor_ != nullptr)
        return executor_;
    InMemory long_lived(memory_);
    estate_ = CreateExecutorState();
    // Range table index 0: there is no query. Postgres then takes no column for updated, so `keys_stay` alone counts.
    executor_ = makeNode(ResultRelInfo);
    InitResultRelInfo(executor_, table_, 0, nullptr, 0);
    executor_->ri_NumIndices = count_;
    executor_->ri_IndexRelationDescs = open_;
    executor_->ri_IndexRelationInfo = infos_;
    return executor_;
}

ResultRelInfo *WrittenIndexes::for_speculation()
{
    InMemory long_lived(memory_);
    for (int i = 0; i < count_; ++i)
        if (open_[i] != nullptr && infos_[i]->ii_Unique && !open_[i]->rd_index->indisexclusion &&
            infos_[i]->ii_UniqueProcs == nullptr)
            BuildSpeculativeIndexInfo(open_[i], infos_[i]);
    return for_executor();
}

List *WrittenIndexes::insert(TupleTableSlot *row, bool keys_stay, bool summarizing_only)
{
    if (!all_plain_ || summarizing_only) {
        ResultRelInfo *executor = for_executor(); // makes the state
        return insert_index_tuples(executor, row, estate_, keys_stay, false, nullptr, NIL, summarizing_only);
    }
    for (int i = 0; i < count_; ++i) {
        if (open_[i] == nullptr || !infos_[i]->ii_ReadyForInserts)
            continue;
        add_entry(i, row, infos_[i]->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, keys_stay);
    }
    return NIL;
}

bool WrittenIndexes::add_entry(int number, TupleTableSlot *row, IndexUniqueCheck check, bool keys_stay)
{
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    FormIndexDatum(infos_[number], row, nullptr, values, nulls);
    return index_insert(open_[number], values, nulls, &row->tts_tid, table_, check, keys_stay, infos_[number]);
}

bool WrittenIndexes::insert_into_one(TupleTableSlot *row)
{
    const bool is_unique = infos_[0]->ii_Unique;
    const bool is_new = add_entry(0, row, is_unique ? UNIQUE_CHECK_PARTIAL : UNIQUE_CHECK_NO, false);
    return is_new || !is_unique;
}

} // namespace pg
