#include "store/healing.hpp"

#include "pg/time.hpp"
#include "store/entry_scan.hpp"
#include "store/run_scan.hpp"

namespace store {

namespace {

using shared::hints::List;
using shared::hints::Raised;

constexpr int lane_columns = 4; // of a table that has lanes

// The tables that have hints, open for a slice.
class Healing {
public:
    explicit Healing(pg::Moment until) : until_(until) {}

    // False: the time is over, and the lane says where to go on.
    bool heal_lane(Raised &lane);

private:
    // Looks at the rows of a list from `place` on, before its hint. Likewise.
    bool heal(const List &list, const logic::Place &hint, logic::Place &place);
    std::optional<std::int16_t> rank_from(const Raised &lane);
    const KeyTable *table_of(Oid oid);
    bool is_time_over() { return ++looks_ % 64 == 0 && pg::moment() >= until_; }

    std::array<std::optional<KeyTable>, derived_tables.size()> tables_;
    pg::Moment until_;
    unsigned looks_ = 0;
};

// Null: it is a table that was dropped.
const KeyTable *Healing::table_of(Oid oid)
{
    for (std::size_t i = 0; i < derived_tables.size(); ++i) {
        if (!tables_[i])
            tables_[i].emplace(derived_tables[i], AccessShareLock);
        if (RelationGetRelid(tables_[i]->table()) == oid)
            return &*tables_[i];
    }
    return nullptr;
}

// It goes by index tuples, because a scan that gives visible rows alone may walk over millions of dead ones in one
// step.
bool Healing::heal(const List &list, const logic::Place &hint, logic::Place &place)
{
    const KeyTable *table = table_of(list.table);
    if (table == nullptr)
        return true;
    const int columns = RelationGetNumberOfAttributes(table->table());
    pg::Slot slot(table->table());
    RunKeys keys(*table, list.lane, list.rank, place, logic::last_place(hint.due_at));
    IndexScanDesc scan =
        pg::begin_index_scan(table->table(), table->index(), GetActiveSnapshot(), RunKeys::count_of(*table));
    scan->xs_want_itup = true; // before the first rescan, in which the b-tree allocates the room for it
    keys.begin(scan);
    bool done = true;
    while (index_getnext_tid(scan, ForwardScanDirection) != nullptr) {
        CHECK_FOR_INTERRUPTS();
        place = place_of(DatumGetTimestampTz(pg::indexed(scan, static_cast<AttrNumber>(columns - 1))),
                         DatumGetUUIDP(pg::indexed(scan, static_cast<AttrNumber>(columns))));
        if (place >= hint)
            break;
        if (index_fetch_heap(scan, slot) && !pg::is_being_removed(slot)) {
            shared::hints::lower(list, place); // the first one, so that no other is to be looked for
            break;
        }
        if (is_time_over()) {
            done = false;
            break;
        }
    }
    index_endscan(scan);
    return done;
}

// The first rank from this one on of which the index has a tuple; nothing: there is none. The only one of a table
// without lanes.
std::optional<std::int16_t> Healing::rank_from(const Raised &lane)
{
    const KeyTable *table = table_of(lane.table);
    if (table == nullptr)
        return std::nullopt;
    if (RelationGetNumberOfAttributes(table->table()) != lane_columns)
        return lane.rank <= 0 ? std::optional<std::int16_t>(0) : std::nullopt;
    const std::optional<Entry> entry = EntryScan(*table, GetActiveSnapshot()).first_of_lane(lane.lane, lane.rank);
    return entry && logic::is_rank(entry->rank) ? std::optional(entry->rank) : std::nullopt;
}

// Goes over the ranks of a lane. False: the time is over.
bool Healing::heal_lane(Raised &lane)
{
    for (; const auto rank = rank_from(lane); ++lane.rank, lane.place = logic::before_all) {
        if (*rank != lane.rank)
            lane.place = logic::before_all;
        lane.rank = *rank;
        const logic::Place &hint = place_at(lane.places, lane.rank);
        if (hint > logic::before_all && !heal({lane.table, lane.lane, lane.rank}, hint, lane.place))
            return false;
    }
    return true;
}

} // namespace

bool heal_hints(HealedUntil &until, int milliseconds)
{
    constexpr int all_after = 600 * 1000;
    const pg::Moment end = pg::in_milliseconds(milliseconds);
    if (until.next == 0 && !until.lane && (until.all = pg::is_over(until.all_at, all_after)))
        until.all_at = pg::moment();
    PushActiveSnapshot(GetTransactionSnapshot());
    bool more = true;
    {
        Healing healing(end);
        do {
            if (!until.lane)
                until.lane = shared::hints::next_raised(until.next, until.all);
            more = until.lane.has_value();
            if (!more || !healing.heal_lane(*until.lane))
                break;
            shared::hints::was_healed(*until.lane);
            until.lane.reset();
        } while (pg::moment() < end);
    }
    PopActiveSnapshot();
    if (until.lane)
        shared::hints::keep_healing(*until.lane);
    if (!more)
        until.next = 0;
    return more;
}

} // namespace store
