#include "store/key_table.hpp"

#include <algorithm>

#include "shared/own_rows.hpp"

namespace store {

namespace {

RegProcedure equality_of(Oid type)
{
    switch (type) {
    case INT4OID:
        return F_INT4EQ;
    case INT2OID:
        return F_INT2EQ;
    case TIMESTAMPTZOID:
        return F_TIMESTAMPTZ_EQ;
    default:
        return F_UUID_EQ;
    }
}

} // namespace

KeyTable::Equal KeyTable::equal_for(PrivateTable table)
{
    Equal equal = {};
    for (int i = 0; i < shape_of(table).key_columns; ++i)
        equal[static_cast<std::size_t>(i)] = equality_of(shape_of(table).columns[static_cast<std::size_t>(i)].type);
    return equal;
}

Key queue_key_of(const logic::QueueKey &key, const pg_uuid_t *job)
{
    return {{Int32GetDatum(key.lane), Int16GetDatum(key.rank), TimestampTzGetDatum(key.due_at), UUIDPGetDatum(job)}, 4};
}

Key instant_key_of(TimestampTz instant, const pg_uuid_t *job)
{
    return {{TimestampTzGetDatum(instant), UUIDPGetDatum(job)}, 2};
}

Key child_key_of(const pg_uuid_t *parent, const pg_uuid_t *job)
{
    return {{UUIDPGetDatum(parent), UUIDPGetDatum(job)}, 2, true};
}

logic::Place place_of(TimestampTz due_at, const pg_uuid_t *job)
{
    logic::Place place = {due_at, {}};
    std::copy_n(job->data, UUID_LEN, place.id.begin());
    return place;
}

namespace {

// Whether the table is read in the order of its time, and so has hints. None has a rank that only a superuser writes,
// past make_queue_key(): the audit removes such a row.
bool has_hints(const Key &key)
{
    return !key.begins_with_id && (key.columns != 4 || logic::is_rank(DatumGetInt16(key.value[1])));
}

// A table without lanes is one list.
shared::hints::List list_of(Relation table, const Key &key)
{
    const bool has_lanes = key.columns == 4;
    return {RelationGetRelid(table), has_lanes ? lane_in(key) : 0,
            has_lanes ? DatumGetInt16(key.value[1]) : std::int16_t{0}};
}

logic::Place place_in(const Key &key) { return place_of(time_in(key), DatumGetUUIDP(key.value[key.columns - 1])); }

} // namespace

void KeyTable::note_brought(const Key &key)
{
    if (has_hints(key))
        shared::own_rows::brought(list_of(table_, key), place_in(key));
}

void KeyTable::note_removed(const Key &key)
{
    if (has_hints(key))
        shared::own_rows::removed(list_of(table_, key), place_in(key));
}

// What is no id is passed by value: such Datums compare as numbers.
bool same_key(const Key &a, const Key &b)
{
    for (int i = 0; i < a.columns; ++i) {
        const bool is_id = i == a.columns - 1 || a.begins_with_id;
        if (is_id ? !same_id(DatumGetUUIDP(a.value[i]), DatumGetUUIDP(b.value[i])) : a.value[i] != b.value[i])
            return false;
    }
    return true;
}

Key KeyTable::key_in(TupleTableSlot *slot)
{
    slot_getallattrs(slot);
    Key key = {};
    key.columns = slot->tts_tupleDescriptor->natts;
    std::copy_n(slot->tts_values, key.columns, key.value.begin());
    key.begins_with_id = pg::attribute(slot->tts_tupleDescriptor, 1)->atttypid == UUIDOID;
    return key;
}

bool KeyTable::contains(const Key &key)
{
    return lookup_.find(std::span(key.value.data(), key.columns), equal_, slot_);
}

bool KeyTable::has_at(const Key &key, const ItemPointerData &place)
{
    ItemPointerData tid = place;
    return contains(key) && ItemPointerEquals(&slot_->tts_tid, &tid);
}

bool KeyTable::remove_if_at(const ItemPointerData &place, const Key &key)
{
    ItemPointerData tid = place;
    if (!table_tuple_fetch_row_version(table_, &tid, GetActiveSnapshot(), slot_) || !same_key(key_in(slot_), key))
        return false;
    remove_at(&tid, key);
    return true;
}

bool KeyTable::find(const Key &key)
{
    // Ends the scan of the last search, which holds its snapshot: another one may be active now.
    lookup_.end();
    return contains(key);
}

void KeyTable::fill(TupleTableSlot *slot, const Key &key)
{
    pg::start_row(slot);
    for (int i = 0; i < key.columns; ++i) {
        slot->tts_values[i] = key.value[i];
        slot->tts_isnull[i] = false;
    }
    ExecStoreVirtualTuple(slot);
}

void KeyTable::insert(const Key &key)
{
    note_brought(key);
    fill(slot_, key);
    writer_.insert(slot_);
}

void KeyTable::insert(std::span<const Key> keys)
{
    const std::span<TupleTableSlot *const> rows = new_rows_.first(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        note_brought(keys[i]);
        fill(rows[i], keys[i]);
    }
    writer_.insert(rows, [](std::size_t) {});
}

void KeyTable::ensure(const Key &key)
{
    note_brought(key);
    fill(slot_, key);
    if (!writer_.try_insert(slot_) && !find(key))
        insert(key);
}

// What a removal or an update of a row came to. Anything but TM_Ok: a session has removed or moved the row meanwhile
// (an orphan, or one that the audit mended), or built the table anew. At READ COMMITTED that is as good as our own
// removal. At REPEATABLE READ the snapshot may hide a row that is there now, and nothing that it shows may be acted on.
void KeyTable::require_current(TM_Result result)
{
    if (result != TM_Ok && IsolationUsesXactSnapshot())
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent update")));
}

void KeyTable::remove_at(ItemPointer tid, const Key &key)
{
    note_removed(key);
    require_current(writer_.remove(tid));
}

bool KeyTable::remove(const Key &key)
{
    if (!find(key))
        return false;
    ItemPointerData tid = slot_->tts_tid;
    remove_at(&tid, key);
    return true;
}

void KeyTable::move_at(ItemPointer tid, const Key &from, const Key &to)
{
    note_removed(from);
    note_brought(to);
    fill(slot_, to);
    const TM_Result result = writer_.update(tid, slot_);
    require_current(result);
    if (result != TM_Ok)
        ensure(to);
}

void KeyTable::move_key(const Key &from, const Key &to)
{
    // A trigger of the user's has changed the job once more, in a statement of its own, and the key is there already.
    if (find(to)) {
        remove(from);
        return;
    }
    if (!find(from)) {
        ensure(to);
        return;
    }
    ItemPointerData tid = slot_->tts_tid;
    move_at(&tid, from, to);
}

} // namespace store
