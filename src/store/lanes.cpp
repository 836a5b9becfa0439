#include "store/lanes.hpp"

#include <algorithm>
#include <numeric>

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
int *by_type = nullptr; // their positions in the list, in the order of their types

void lanes_may_have_changed(Datum, Oid oid) { known_lanes.note_change_of(oid); }

Oid read_lanes()
{
    pg::OpenRelation table = open_private(PrivateTable::lanes, AccessShareLock);
    // Only looked at: this lock must not last through a claim that sleeps.
    table.unlock_when_closed(AccessShareLock);
    each_latest_row(table, [&](TupleTableSlot *slot) {
        bool null;
        Lane &lane = known_lanes.append();
        lane.number = DatumGetInt32(slot_getattr(slot, 1, &null));
        copy_name(lane.type, slot_getattr(slot, 2, &null));
    });
    return RelationGetRelid(table);
}

bool is_before(const Lane &lane, std::string_view type) { return lane.type < type; }

void load_lanes()
{
    if (known_lanes.valid)
        return;
    known_lanes.load(read_lanes);
    const auto count = static_cast<std::size_t>(known_lanes.count);
    by_type = static_cast<int *>(MemoryContextAlloc(known_lanes.memory, sizeof(int) * (count + 1)));
    std::iota(by_type, by_type + count, 0);
    std::sort(by_type, by_type + count,
              [](int a, int b) { return is_before(known_lanes.list[a], known_lanes.list[b].type); });
}

// The lock under which the type's lane is made, until the end of the transaction, or of a subtransaction that is rolled
// back. It is numbered by the hash of the type: two types with the same hash wait for each other, and that is all.
// False: another transaction has it, and `wait` is no.
bool lock_making(std::string_view type, pg::Wait wait)
{
    const auto name = reinterpret_cast<const unsigned char *>(type.data());
    return pg::lock_of_ours(known_lanes.table, hash_bytes(name, static_cast<int>(type.size())), wait);
}

// Whether the queue is built. Where it is not, the first writer builds it, and makes the lanes of all types. An altered
// `jobs`, which tables() raises for, must not keep anybody from registering a type: hence the subtransaction.
bool is_queue_ready()
{
    bool is_built = false;
    return pg::in_subtransaction([&] { is_built = tables().is_queue_built(); }).error == nullptr && is_built;
}

// Takes the lock on `jobs` under which a lane is made, without waiting, and keeps it until the end of the transaction.
//
// A session that makes a lane for a job has `jobs` open already. One that makes it with its type comes here, because
// otherwise it would hold the lane when it wants `jobs` for its first job, while a rebuild holds `jobs` and waits for
// that lane. Not where the queue has still to be built: the build takes a stronger lock, and two sessions that each
// hold this one would wait for each other. Nor for a role that may not write to `jobs`: such a lock, which keeps an
// ALTER TABLE waiting, is not for that role to take.
bool lock_jobs_at_once()
{
    const std::optional<TableId> jobs = find_table(ApiTable::jobs);
    if (!jobs)
        return true; // a restore that has brought `job_types` first
    // Whether the queue is built is asked again under the lock, because taking it lets this process hear of what others
    // committed meanwhile.
    return pg_class_aclmask(jobs->in_catalogs(), GetUserId(), ACL_INSERT | ACL_UPDATE, ACLMASK_ANY) != 0 &&
           is_queue_ready() && ConditionalLockRelationOid(jobs->in_catalogs(), RowExclusiveLock) && is_queue_ready();
}

// Without a check of privileges, because the caller of a verb has none on the sequence.
std::int32_t next_number()
{
    const Oid sequence = get_relname_relid("lane_numbers", get_namespace_oid("jobs_ext", false));
    if (!OidIsValid(sequence))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("sequence \"jobs_ext.lane_numbers\" does not exist"),
                        errhint("Drop the extension and create it anew: the tables in the schema public stay.")));
    return static_cast<std::int32_t>(nextval_internal(sequence, false));
}

// To be called under lock_making(), and with `jobs` locked.
std::int32_t make_lane_of(std::string_view type)
{
    // Another transaction may have made it before we had the lock, and this process need not have heard of it yet: so
    // it reads again. The newest snapshot shows that lane also at REPEATABLE READ.
    known_lanes.forget_rows();
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
    // Others hear of it at commit, this process at the next command, which sees the row.
    CacheInvalidateRelcache(table);
    CommandCounterIncrement();
    return number;
}

} // namespace

std::optional<std::int32_t> find_lane_of(std::string_view type)
{
    load_lanes();
    const int *end = by_type + known_lanes.count;
    const int *found = std::lower_bound(by_type, by_type + known_lanes.count, type, [](int i, std::string_view wanted) {
        return is_before(known_lanes.list[i], wanted);
    });
    return found != end && type == known_lanes.list[*found].type ? std::optional(known_lanes.list[*found].number)
                                                                 : std::nullopt;
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

Oid table()
{
    load_lanes();
    return known_lanes.table;
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
        return lane; // the only lane was rolled back a moment ago
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
    // The names are copied first, because making a lane may have the list of types read anew.
    List *names = NIL;
    types::each_type([&](const Type &type) { names = lappend(names, pstrdup(type.name)); });
    ListCell *cell;
    foreach (cell, names)
        of(static_cast<const char *>(lfirst(cell)));
}

std::uint64_t version_of_types_and_lanes()
{
    AcceptInvalidationMessages();
    return known_version();
}

std::uint64_t known_version()
{
    const std::uint64_t types = types::known_version();
    load_lanes();
    return types + known_lanes.changes;
}

void watch_lanes() { CacheRegisterRelcacheCallback(lanes_may_have_changed, Datum{0}); }

} // namespace store::lanes
