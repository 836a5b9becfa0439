#include "store/lanes.hpp"

#include <algorithm>

#include "pg/lock.hpp"
#include "pg/subtransaction.hpp"
#include "store/cached_table.hpp"

namespace store::lanes {

namespace {

struct Lane {
    std::int32_t number;
    TypeName type;

    std::int32_t key() const { return number; }
};

CachedTable<Lane> known_lanes;

void lanes_may_have_changed(Datum, Oid oid) { known_lanes.note_change_of(oid); }

Oid read_lanes()
{
    pg::OpenRelation table = open_private(PrivateTable::lanes, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    each_latest_row(table, [&](TupleTableSlot *slot) {
        bool null;
        Lane &lane = known_lanes.append();
        lane.number = DatumGetInt32(slot_getattr(slot, 1, &null));
        copy_name(lane.type, slot_getattr(slot, 2, &null));
    });
    return RelationGetRelid(table);
}

void load_lanes() { known_lanes.load(read_lanes); }

// Of whoever makes the type's lane, until the end of the transaction or of the subtransaction that is rolled back. By
// the type's hash: two types with the same one wait for each other, no more.
bool lock_making(std::string_view type, pg::Wait wait)
{
    const auto name = reinterpret_cast<const unsigned char *>(type.data());
    return pg::lock_of_ours(known_lanes.table, hash_bytes(name, static_cast<int>(type.size())), wait);
}

// Where it is not, the first writer builds it, and the lanes of all types with it. A `jobs` that can't be used has none
// either.
bool is_queue_ready()
{
    bool is_built = false;
    return pg::in_subtransaction([&] { is_built = tables().is_queue_built(); }).error == nullptr && is_built;
}

// Who makes a lane for a job has `jobs` open already. Who makes one with its type takes the same lock first: else it
// would have the lane when it comes to `jobs`, while a rebuild that has `jobs` to itself waits for that lane. And it
// keeps it. So not where the queue is to be built, which takes more than this lock: two who have it would wait for each
// other. Nor for who may not write to `jobs`, and so may not lock it either.
bool lock_jobs_at_once()
{
    const std::optional<TableId> jobs = find_table(ApiTable::jobs);
    if (!jobs)
        return true;
    // Looked at again under the lock, which lets in what was altered meanwhile.
    return pg_class_aclmask(jobs->in_catalogs(), GetUserId(), ACL_INSERT | ACL_UPDATE, ACLMASK_ANY) != 0 &&
           is_queue_ready() && ConditionalLockRelationOid(jobs->in_catalogs(), RowExclusiveLock) && is_queue_ready();
}

std::int32_t next_number()
{
    const Oid sequence = get_relname_relid("lane_numbers", get_namespace_oid("jobs_ext", false));
    if (!OidIsValid(sequence))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("sequence \"jobs_ext.lane_numbers\" does not exist"),
                        errhint("Drop the extension and create it anew: the tables in the schema public stay.")));
    return static_cast<std::int32_t>(nextval_internal(sequence, false));
}

// Under the lock.
std::int32_t make_lane_of(std::string_view type)
{
    // Another transaction may have made it before we had the lock.
    known_lanes.empty();
    if (auto lane = find_lane_of(type))
        return *lane;

    pg::OpenRelation table = open_private(PrivateTable::lanes, RowExclusiveLock);
    const std::int32_t number = next_number();
    pg::Slot slot(table);
    pg::start_row(slot);
    slot->tts_values[0] = Int32GetDatum(number);
    slot->tts_values[1] = PointerGetDatum(cstring_to_text_with_len(type.data(), static_cast<int>(type.size())));
    slot->tts_isnull[0] = slot->tts_isnull[1] = false;
    ExecStoreVirtualTuple(slot);
    pg::TableWriter(table).insert(slot);
    CacheInvalidateRelcache(table);
    CommandCounterIncrement();
    return number;
}

} // namespace

std::optional<std::int32_t> find_lane_of(std::string_view type)
{
    load_lanes();
    for (int i = 0; i < known_lanes.count; ++i)
        if (type == known_lanes.list[i].type)
            return known_lanes.list[i].number;
    return std::nullopt;
}

std::int32_t of(std::string_view type)
{
    if (auto lane = find_lane_of(type))
        return *lane;
    lock_making(type, pg::Wait::yes);
    return make_lane_of(type);
}

void prepare_lane_of(std::string_view type)
{
    if (!find_lane_of(type) && lock_jobs_at_once() && lock_making(type, pg::Wait::no))
        make_lane_of(type);
}

int count_lanes()
{
    load_lanes();
    return known_lanes.count;
}

std::int32_t after(std::int32_t lane)
{
    load_lanes();
    if (known_lanes.count == 0)
        return lane; // rolled back a moment ago
    const Lane *begin = known_lanes.list, *end = begin + known_lanes.count;
    const Lane *next = std::upper_bound(begin, end, lane,
                                        [](std::int32_t number, const Lane &known) { return number < known.number; });
    return next != end ? next->number : begin->number;
}

std::optional<std::string_view> type_of(std::int32_t lane)
{
    load_lanes();
    const Lane *known = known_lanes.find(lane);
    return known != nullptr ? std::optional<std::string_view>(known->type) : std::nullopt;
}

void make_lanes()
{
    // Making one may have the list of types read anew.
    List *names = NIL;
    types::each_type([&](const Type &type) { names = lappend(names, pstrdup(type.name)); });
    ListCell *cell;
    foreach (cell, names)
        of(static_cast<const char *>(lfirst(cell)));
}

std::uint64_t version_of_types_and_lanes()
{
    const std::uint64_t types = types::version_of_types();
    load_lanes();
    return types + known_lanes.changes;
}

void watch_lanes() { CacheRegisterRelcacheCallback(lanes_may_have_changed, Datum{0}); }

} // namespace store::lanes
