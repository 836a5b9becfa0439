#include "shared/sleepers.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

#include "pg/client.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/dismissals.hpp"
#include "shared/process.hpp"
#include "shared/segment.hpp"

namespace shared {

namespace {

using logic::wakes::JobId;
using logic::wakes::List;
using logic::wakes::Lists;
using logic::wakes::none;
using logic::wakes::Number;
using logic::wakes::Room;
using logic::wakes::Sleeper;

// A room for each database that has sleepers. As many as there are databases with a worker (max_databases): more would
// sleep without anybody to wake them when jobs become due.
constexpr int room_count = 256;

struct Area {
    // How many sessions have a place. Written under the lock of the places, and read without it at each commit.
    pg_atomic_uint32 asleep_for_job;
    pg_atomic_uint32 asleep_for_end;
    // The database of a room, kept when the room is empty until another database needs it: sessions that come and go
    // leave nothing to clean up. Written under the locks of the places and of the room, read without one (room_of()).
    pg_atomic_uint32 owners[room_count];
    // Under the lock of the places.
    int sleepers_in[room_count];
    std::uint64_t tickets;
    List free;
    List by_role[64]; // sleepers by a hash of their role
    // Each room is written under its own lock, and so are the sleepers in it. What take_place() writes of a sleeper it
    // writes under the lock of the places, before the sleeper enters its room.
    Room rooms[room_count];
    Sleeper places[FLEXIBLE_ARRAY_MEMBER]; // settings::max_waiters of them
};

// About 3 kB for each of jobs_ext.max_waiters, since a sleeper brings its own list nodes: nothing is allocated at
// commit.
std::size_t area_size()
{
    return add_size(offsetof(Area, places), mul_size(sizeof(Sleeper), static_cast<std::size_t>(settings::max_waiters)));
}

void initialise_sleepers(void *memory)
{
    auto &sleepers = *static_cast<Area *>(memory);
    pg_atomic_init_u32(&sleepers.asleep_for_job, 0);
    pg_atomic_init_u32(&sleepers.asleep_for_end, 0);
    for (pg_atomic_uint32 &owner : sleepers.owners)
        pg_atomic_init_u32(&owner, InvalidOid);
    std::fill(std::begin(sleepers.rooms), std::end(sleepers.rooms), Room{});
    std::fill(std::begin(sleepers.by_role), std::end(sleepers.by_role), List{});
    sleepers.free = {};
    const Lists lists(sleepers.places);
    for (Number who = 0; who < settings::max_waiters; ++who)
        lists.push_last(sleepers.free, logic::wakes::node_of(who, logic::wakes::node_of_all));
}

constinit Segment<Area>
    area({.name = "JobsSleepers", .locks = 1 + room_count, .size = area_size, .initialise = initialise_sleepers});

LWLock &lock_of_places() { return area.lock(0); }
LWLock &lock_of_room(int room) { return area.lock(1 + room); }

// How logic/wakes.hpp wakes a process. Under the lock of the room: the sleeper is still the one that was chosen.
struct SetLatchOf {
    void operator()(const Sleeper &sleeper) const { wake_process(sleeper.process); }
};
using Wakes = logic::wakes::Wakes<SetLatchOf>;

// This session's place; none: it has none. One in a session: a call inside of a call (by a user's trigger) polls.
Number mine = none;
int my_room;
int my_level; // of the (sub)transaction that took it; 0: it lasts for its call

Sleeper &me() { return area->places[mine]; }

Wakes wakes_in(int room) { return Wakes(area->rooms[room], area->places, {}); }

// This session's room, locked.
class MyRoom : public HeldLock, public Wakes {
public:
    MyRoom() : HeldLock(lock_of_room(my_room)), Wakes(wakes_in(my_room)) {}
};

Oid database_of_room(int room) { return pg_atomic_read_u32(&area->owners[room]); }

// The room of a database, found without a lock; with_room() says why that is safe.
std::optional<int> room_of(Oid database)
{
    static int last = 0; // nearly always the same database is asked for
    if (database_of_room(last) == database)
        return last;
    for (int room = 0; room < room_count; ++room)
        if (database_of_room(room) == database)
            return last = room;
    return std::nullopt;
}

// Does something with the room of a database, under its lock. Without a room, nobody sleeps there.
//
// The room is found without a lock. A session that comes into it after we looked for it arms its place after that, and
// sees by itself what we would wake it for. And the room that we found may be another database's by the time at which
// we have its lock: then all that slept in it are gone, so nobody is there whom we could have woken.
template <class Do>
void with_room(Oid database, LWLockMode mode, Do what)
{
    const std::optional<int> room = room_of(database);
    if (!room)
        return;
    HeldLock lock(lock_of_room(*room), mode);
    if (database_of_room(*room) == database) {
        Wakes wakes = wakes_in(*room);
        what(wakes);
    }
}

// The room of this database; one that is empty where it has none. Nothing: all rooms have sleepers. To be called under
// the lock of the places, which keeps two sessions from giving two rooms to one database. The room's own lock keeps its
// owner from changing under a session that wakes (with_room()).
std::optional<int> enter_room()
{
    std::optional<int> room = room_of(MyDatabaseId);
    for (int i = 0; i < room_count && !room; ++i) {
        if (area->sleepers_in[i] > 0)
            continue;
        HeldLock lock(lock_of_room(i));
        pg_atomic_write_u32(&area->owners[i], MyDatabaseId);
        room = i;
    }
    if (room)
        ++area->sleepers_in[*room];
    return room;
}

pg_atomic_uint32 &counter(Purpose purpose)
{
    return purpose == Purpose::end ? area->asleep_for_end : area->asleep_for_job;
}

bool is_anybody_asleep_for(Purpose purpose) { return area && pg_atomic_read_u32(&counter(purpose)) > 0; }

List &sleepers_of_role(Oid role) { return area->by_role[role % std::size(area->by_role)]; }

// Asked only when places are short, so a walk over the sleepers of the role's hash will do. Under the lock of the
// places.
bool role_has_a_place(Oid role)
{
    bool has = false;
    Lists(area->places).for_each(sleepers_of_role(role), [&](Number who) {
        has = has || area->places[who].role == role;
    });
    return has;
}

// Whether the rules let one more session sleep. To be called under the lock of the places.
bool may_take_place(Purpose purpose, Oid role)
{
    return logic::wakes::may_have_a_place(purpose, static_cast<int>(pg_atomic_read_u32(&area->asleep_for_job)),
                                          static_cast<int>(pg_atomic_read_u32(&area->asleep_for_end)),
                                          settings::max_waiters, [&] { return role_has_a_place(role); });
}

// Takes a free place. False: there is none for this session. The place is counted and its room is this database's
// before anybody can be told of it: fetch_add is a full barrier, so a session that commits after it finds a sleeper to
// look for, and this session's look, which comes after, finds what was committed before.
//
// The place is not in the room's lists yet; MyRoom().enter() comes next, under the other lock. Between the two nothing
// raises an error, so no place is left half taken.
bool take_place(Purpose purpose, std::uint64_t worker, int level)
{
    using namespace logic::wakes;
    const Oid role = GetUserId();
    HeldLock lock(lock_of_places());
    if (!may_take_place(purpose, role))
        return false;
    const std::optional<int> room = enter_room();
    if (!room)
        return false;
    const Lists lists(area->places);
    const Number node = area->free.first;
    lists.unlink(area->free, node);
    mine = owner(node);
    my_room = *room;
    my_level = level;
    me().process = pg::my_process_number();
    me().purpose = purpose;
    me().worker = worker;
    me().role = role;
    me().ticket = ++area->tickets;
    lists.push_last(sleepers_of_role(role), node_of(mine, node_of_role));
    pg_atomic_fetch_add_u32(&counter(purpose), 1);
    return true;
}

void free_place()
{
    using namespace logic::wakes;
    HeldLock lock(lock_of_places());
    const Lists lists(area->places);
    lists.unlink(sleepers_of_role(me().role), node_of(mine, node_of_role));
    lists.push_first(area->free, node_of(mine, node_of_all));
    pg_atomic_fetch_sub_u32(&counter(me().purpose), 1);
    --area->sleepers_in[my_room];
    mine = none;
}

JobId bytes_of(const pg_uuid_t &job)
{
    JobId id;
    std::copy(std::begin(job.data), std::end(job.data), id.begin());
    return id;
}

} // namespace

Place::Place(Purpose purpose, std::uint64_t worker, Lasts lasts) : has_place_(false)
{
    const int level = lasts == Lasts::call ? 0 : GetCurrentTransactionNestLevel();
    if (!area || mine != none || !take_place(purpose, worker, level))
        return;
    MyRoom().enter(mine);
    has_place_ = true;
}

Place::~Place() { leave(); }

void Place::arm(const Wish &wish) { MyRoom().arm_place(mine, wish); }
void Place::arm(const pg_uuid_t &job) { MyRoom().arm_place(mine, bytes_of(job)); }

void Place::sleep(long milliseconds, std::uint32_t wait_event)
{
    const pg::Moment end = pg::in_milliseconds(milliseconds);
    MyRoom().falls_asleep(mine);
    // `woken` is read without the lock. It is set before the latch, and wait_on_latch() resets the latch before it
    // returns, so a wake that comes at any moment is seen here or ends the wait.
    while (!me().woken) {
        const long remaining = pg::milliseconds_until(end);
        if (remaining <= 0)
            break;
        pg::wait_on_latch(remaining, wait_event);
    }
    // The caller looks once more, and may take a job: not for a client that is gone.
    pg::require_client();
}

void Place::leave()
{
    if (has_place_)
        sleepers::free_my_place();
    has_place_ = false;
}

void Place::took_jobs(bool (*took)(std::int32_t lane)) { MyRoom().place_took_jobs(mine, took); }

namespace sleepers {

void request_sleepers() { area.request(); }

bool is_anybody_asleep() { return shared::is_anybody_asleep_for(Purpose::claim); }
bool is_anybody_waiting() { return shared::is_anybody_asleep_for(Purpose::end); }

int wake_up_to(Oid database, std::int32_t lane, int count)
{
    int woken = 0;
    if (is_anybody_asleep())
        with_room(database, LW_EXCLUSIVE, [&](Wakes &wakes) { woken = wakes.wake(lane, count); });
    return woken;
}

// Noted before anybody is woken, so that a call that is woken by it sees that its wait is over.
void dismiss_sleepers(std::uint64_t worker)
{
    dismissals::add_dismissal(worker);
    if (is_anybody_asleep())
        with_room(MyDatabaseId, LW_EXCLUSIVE, [&](Wakes &wakes) { wakes.dismiss(worker); });
}

void wake_waiters_for(Oid database, const pg_uuid_t &job)
{
    if (is_anybody_waiting())
        with_room(database, LW_EXCLUSIVE, [&](Wakes &wakes) { wakes.wake_for_end(bytes_of(job)); });
}

void wake_all_waiters(Oid database)
{
    if (is_anybody_waiting())
        with_room(database, LW_EXCLUSIVE, [](Wakes &wakes) { wakes.wake_for_any_end(); });
}

void wake_all_sleepers(Oid database)
{
    if (is_anybody_asleep() || is_anybody_waiting())
        with_room(database, LW_EXCLUSIVE, [](Wakes &wakes) { wakes.wake_all(); });
}

Wanted lanes_wanted(Oid database)
{
    Wanted result;
    if (is_anybody_asleep())
        with_room(database, LW_SHARED, [&](const Wakes &wakes) { result = wakes.wanted(); });
    return result;
}

// Order: leaves the room, then gives the place back. Until it has left the room the place stays counted and the room
// this database's, because leaving may hand a wake on to another sleeper of the room. From the abort callbacks as well:
// LWLocks that an error left held were let go before (AbortTransaction() calls LWLockReleaseAll() first).
void free_my_place(int level)
{
    if (mine == none || my_level < level)
        return;
    MyRoom().leave_place(mine);
    free_place();
}

} // namespace sleepers

} // namespace shared
