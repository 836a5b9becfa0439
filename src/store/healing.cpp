#include "store/healing.hpp"

#include "pg/time.hpp"
#include "store/run_scan.hpp"

namespace store {

namespace {

using shared::hints::List;

// The tables that have hints, open for a slice.
class Healing {
public:
    Healing(pg::Moment until) : until_(until) {}

    // Looks at the rows of a list from `place` on, before its hint. False: the time is over, and `place` says where to
    // go on.
    bool heal(const List &list, const logic::Place &hint, logic::Place &place);

private:
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
    const int columns = RunKeys::count_of(*table);
    pg::Slot slot(table->table());
    RunKeys keys(*table, list.lane, list.rank, place, logic::last_place(hint.due_at));
    IndexScanDesc scan = pg::begin_index_scan(table->table(), table->index(), GetActiveSnapshot(), columns);
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

// Goes over the ranks of a lane. False: the time is over.
bool heal_lane(Healing &healing, HealedUntil &until)
{
    for (; until.rank <= logic::worst_rank; ++until.rank, until.place = logic::before_all) {
        const logic::Place &hint = place_at(until.lane->places, until.rank);
        if (hint > logic::before_all &&
            !healing.heal({until.lane->table, until.lane->lane, until.rank}, hint, until.place))
            return false;
    }
    return true;
}

} // namespace

bool heal_hints(HealedUntil &until, int milliseconds)
{
    const pg::Moment end = pg::in_milliseconds(milliseconds);
    PushActiveSnapshot(GetTransactionSnapshot());
    bool more = true;
    {
        Healing healing(end);
        do {
            if (!until.lane) {
                until.lane = shared::hints::take_raised(until.next);
                until.rank = logic::best_rank;
                until.place = logic::before_all;
            }
            more = until.lane.has_value();
            if (!more || !heal_lane(healing, until))
                break;
            until.lane.reset();
        } while (pg::moment() < end);
    }
    PopActiveSnapshot();
    if (!more)
        until = {};
    return more;
}

} // namespace store
