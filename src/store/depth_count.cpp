#include "store/depth_count.hpp"

#include <algorithm>
#include <limits>

#include "logic/step_length.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/statistics.hpp"
#include "store/depth.hpp"
#include "store/lanes.hpp"

namespace store::depth_count {

namespace {

using logic::QueuePart;
using logic::QueuePlace;
using shared::statistics::Statistics;

// So many index tuples are read in a step: a snapshot for each is cheap against them.
constexpr int tuples_of_step = 2000;
// Running jobs cost a search in `jobs` each, and that may be a read from disk. Nothing ends a step, and while it lasts
// this worker wakes nobody. Of this process.
logic::StepLength running_of_step(20, 100, 2000);

// A type whose depth is doubtful, as it stands in shared memory.
struct Doubtful {
    std::int32_t lane;
    logic::CountedDepth depth;
};

enum QueueColumn : AttrNumber { lane_column = 1, rank_column, due_column, job_column };

// Reads the index of a lane on from a place, whatever its rank. Without hints, which are newer than the snapshot, and
// pass what transactions in progress are taking: these tell it when they commit, and nothing where they are rolled
// back.
class Tuples {
public:
    Tuples(KeyTable &queue, std::int32_t lane, const QueuePlace &from)
        : from_(from), slot_(queue.table()),
          scan_(pg::begin_index_scan(queue.table(), queue.index(), GetActiveSnapshot(), 2))
    {
        const Datum values[] = {Int16GetDatum(from_.rank), TimestampTzGetDatum(from_.place.due_at),
                                PointerGetDatum(from_.place.id.data())};
        constexpr RegProcedure compare[] = {F_BTINT2CMP, F_TIMESTAMPTZ_CMP, F_UUID_CMP};
        for (int i = 0; i < 3; ++i)
            ScanKeyEntryInitialize(&columns_[i], SK_ROW_MEMBER | (i == 2 ? SK_ROW_END : 0),
                                   static_cast<AttrNumber>(rank_column + i), BTGreaterEqualStrategyNumber, InvalidOid,
                                   InvalidOid, compare[i], values[i]);
        ScanKeyInit(&keys_[0], lane_column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane));
        keys_[1].sk_flags = SK_ROW_HEADER;
        keys_[1].sk_attno = rank_column;
        keys_[1].sk_strategy = BTGreaterEqualStrategyNumber;
        keys_[1].sk_argument = PointerGetDatum(columns_);
        scan_->xs_want_itup = true; // before the first rescan, in which the b-tree allocates the room for it
        index_rescan(scan_, keys_, 2, nullptr, 0);
    }
    ~Tuples() { index_endscan(scan_); }
    Tuples(const Tuples &) = delete;
    Tuples &operator=(const Tuples &) = delete;

    // The place of the next tuple; nothing: there is none.
    std::optional<QueuePlace> next()
    {
        CHECK_FOR_INTERRUPTS();
        if (index_getnext_tid(scan_, ForwardScanDirection) == nullptr)
            return std::nullopt;
        return QueuePlace{DatumGetInt16(pg::indexed(scan_, rank_column)),
                          place_of(DatumGetTimestampTz(pg::indexed(scan_, due_column)),
                                   DatumGetUUIDP(pg::indexed(scan_, job_column)))};
    }
    bool is_visible() { return index_fetch_heap(scan_, slot_); }

private:
    QueuePlace from_;
    ScanKeyData columns_[3], keys_[2] = {};
    pg::Slot slot_;
    IndexScanDesc scan_;
};

// Up to where a step goes from there: so many tuples are before it. It reads no heap, and what others bring meanwhile
// makes the step longer, which does no harm.
QueuePlace end_of_step(KeyTable &queue, std::int32_t lane, const QueuePlace &from, int most)
{
    Tuples tuples(queue, lane, from);
    std::optional<QueuePlace> place;
    for (int i = 0; i < most; ++i)
        if (place = tuples.next(); !place)
            return logic::queue_end;
    return {place->rank, logic::next_place(place->place)};
}

// Calls `each(job)` for the rows that the active snapshot shows in a stretch of a lane.
template <class Each>
void each_job(KeyTable &queue, std::int32_t lane, const QueuePlace &from, const QueuePlace &upto, Each each)
{
    Tuples tuples(queue, lane, from);
    for (auto place = tuples.next(); place && *place < upto; place = tuples.next()) {
        pg_uuid_t job;
        std::copy_n(place->place.id.begin(), UUID_LEN, job.data);
        if (tuples.is_visible())
            each(job);
    }
}

// One slice's work.
class Slice {
public:
    explicit Slice(pg::Moment end) : table_(lanes::table()), end_(end), queue_(PrivateTable::queue, AccessShareLock) {}

    Left work();

private:
    void find_doubtful();
    void begin();
    void go_on();
    bool count_running();
    bool count_waiting(Doubtful &type);
    void begin_step(Doubtful &type, QueuePart part, const QueuePlace &upto);
    void end_step(Doubtful &type, QueuePart part, std::int64_t found);
    bool is_time_over() const { return pg::moment() >= end_; }

    const Oid table_;
    const pg::Moment end_;
    KeyTable queue_;
    std::span<Doubtful> types_;
};

void Slice::find_doubtful()
{
    // No memory can be had under the locks.
    const auto most = static_cast<std::size_t>(settings::max_counted_types);
    auto list = static_cast<Doubtful *>(pg::allocate(sizeof(Doubtful) * most));
    std::size_t count = 0;
    shared::statistics::each_of_table(table_, [&](std::int32_t lane, const Statistics &statistics) {
        if (statistics.numbers.depth().is_doubtful() && count < most)
            list[count++] = {lane, statistics.numbers.depth()};
    });
    types_ = {list, count};
}

// Begins a count of all that is doubtful. It has each type counted of which there is a job in the queue, as far as
// there is room: also one whose jobs were all there when the server started.
void Slice::begin()
{
    shared::databases::say_counting(true);
    bool is_room = true;
    PushActiveSnapshot(GetTransactionSnapshot());
    for (auto lane = next_lane(queue_, logic::running_lane); lane && is_room; lane = next_lane(queue_, *lane))
        is_room = shared::statistics::with_lane(table_, *lane, [](Statistics &) {});
    PopActiveSnapshot();
    find_doubtful();
    for (Doubtful &type : types_)
        shared::statistics::with_lane(table_, type.lane,
                                      [](Statistics &statistics) { statistics.numbers.depth().begin(); });
}

// Says up to where the step goes, before its snapshot is taken.
void Slice::begin_step(Doubtful &type, QueuePart part, const QueuePlace &upto)
{
    shared::databases::note_step_of_count();
    shared::statistics::with_lane(table_, type.lane, [&](Statistics &statistics) {
        statistics.numbers.depth().begin_step(part, upto);
        type.depth = statistics.numbers.depth();
    });
}

void Slice::end_step(Doubtful &type, QueuePart part, std::int64_t found)
{
    shared::statistics::with_lane(table_, type.lane, [&](Statistics &statistics) {
        statistics.numbers.depth().end_step(part, found);
        type.depth = statistics.numbers.depth();
    });
}

// The running jobs of all types that are being counted, which have come equally far. False: the time is over.
bool Slice::count_running()
{
    while (types_[0].depth.upto(QueuePart::running) != logic::queue_end) {
        const QueuePlace from = types_[0].depth.upto(QueuePart::running);
        PushActiveSnapshot(GetLatestSnapshot());
        const QueuePlace upto = end_of_step(queue_, logic::running_lane, from, running_of_step.pieces());
        PopActiveSnapshot();
        for (Doubtful &type : types_)
            begin_step(type, QueuePart::running, upto);
        PushActiveSnapshot(GetLatestSnapshot());
        {
            depth::JobsByType found;
            const std::int64_t began = pg::moment().microseconds;
            each_job(queue_, logic::running_lane, from, upto, [&](const pg_uuid_t &job) { found.add(job); });
            running_of_step.took(pg::moment().microseconds - began);
            for (Doubtful &type : types_) {
                const std::optional<std::string_view> name = lanes::type_of(type.lane);
                end_step(type, QueuePart::running, name ? found.of_type(*name) : 0);
            }
        }
        PopActiveSnapshot();
        if (is_time_over())
            return false;
    }
    return true;
}

// Those that wait. Likewise.
bool Slice::count_waiting(Doubtful &type)
{
    while (type.depth.is_going() && type.depth.upto(QueuePart::waiting) != logic::queue_end) {
        const QueuePlace from = type.depth.upto(QueuePart::waiting);
        PushActiveSnapshot(GetLatestSnapshot());
        const QueuePlace upto = end_of_step(queue_, type.lane, from, tuples_of_step);
        PopActiveSnapshot();
        begin_step(type, QueuePart::waiting, upto);
        PushActiveSnapshot(GetLatestSnapshot());
        std::int64_t found = 0;
        each_job(queue_, type.lane, from, upto, [&](const pg_uuid_t &) { ++found; });
        end_step(type, QueuePart::waiting, found);
        PopActiveSnapshot();
        if (is_time_over())
            return false;
    }
    return true;
}

// Goes on with those that are being counted. A type that became doubtful meanwhile waits for the next count.
void Slice::go_on()
{
    const auto going = [](const Doubtful &type) { return type.depth.is_going(); };
    types_ = {types_.begin(), std::partition(types_.begin(), types_.end(), going)};
    if (count_running())
        for (Doubtful &type : types_)
            if (!count_waiting(type))
                return;
}

Left Slice::work()
{
    find_doubtful();
    const auto any = [&](auto is) { return std::any_of(types_.begin(), types_.end(), is); };
    const bool is_unknown = any([](const Doubtful &type) { return !type.depth.shown(); });
    if (any([](const Doubtful &type) { return type.depth.is_going(); }))
        go_on();
    else
        begin(); // transactions that are under way come to their end before the next slice, as a rule
    if (types_.empty())
        shared::databases::say_counting(false);
    return types_.empty() ? Left::nothing : is_unknown ? Left::unknown : Left::doubtful;
}

} // namespace

Left count_slice(int milliseconds) { return Slice(pg::in_milliseconds(milliseconds)).work(); }

} // namespace store::depth_count
