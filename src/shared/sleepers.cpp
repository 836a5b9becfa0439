#include "shared/sleepers.hpp"

#include <algorithm>
#include <utility>

#include "pg/client.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/at_commit.hpp"
#include "shared/board.hpp"

namespace shared {

namespace {

Sleeper *mine = nullptr;
int my_level = 0; // of the (sub)transaction that took it

// The macros of ilist.h are C alone.
Sleeper *sleeper_of(dlist_node *node)
{
    static_assert(offsetof(Sleeper, links) == 0);
    return reinterpret_cast<Sleeper *>(node);
}

// The longest asleep first.
template <class Each>
void each(Each each)
{
    dlist_node *const end = &board()->sleepers.head;
    for (dlist_node *node = end->next; node != end; node = node->next)
        each(*sleeper_of(node));
}

bool unwoken(Sleeper &sleeper, Oid database, Purpose purpose)
{
    return sleeper.database == database && sleeper.purpose == purpose && pg_atomic_read_u32(&sleeper.woken) == 0;
}

bool includes(const Wish &wish, std::int32_t lane)
{
    const std::int32_t *end = wish.lanes + wish.lane_count;
    return wish.any || wish.vague || std::find(wish.lanes, end, lane) != end;
}

bool wants(Sleeper &sleeper, Oid database, std::int32_t lane)
{
    return unwoken(sleeper, database, Purpose::claim) && includes(sleeper.wish, lane);
}

bool is_looking(const Sleeper &sleeper) { return sleeper.woken_for != no_lane; }

void wake_one(Sleeper &sleeper, std::int32_t lane)
{
    sleeper.woken_for = lane;
    pg_atomic_write_u32(&sleeper.woken, 1);
    wake_process(sleeper.process);
}

// Its snapshot may be older than what came.
void look_again(Sleeper &sleeper)
{
    sleeper.again = true;
    pg_atomic_write_u32(&sleeper.woken, 1);
}

int wake_locked(Oid database, std::int32_t lane, int count)
{
    int woken = 0;
    if (count <= 0)
        return woken;
    each([&](Sleeper &sleeper) {
        if (!wants(sleeper, database, lane) || is_looking(sleeper) || (count <= 0 && !sleeper.wish.vague))
            return;
        wake_one(sleeper, lane);
        count -= !sleeper.wish.vague;
        ++woken;
    });
    // All of those: any of them may take what it was woken for, and leave.
    if (count > 0)
        each([&](Sleeper &sleeper) {
            if (wants(sleeper, database, lane) && is_looking(sleeper))
                look_again(sleeper);
        });
    return woken;
}

// A wake of which nothing came goes to another sleeper: this one found another job, or was cancelled.
void hand_on(Sleeper &sleeper)
{
    const std::int32_t lane = std::exchange(sleeper.woken_for, no_lane);
    if (lane != no_lane && !sleeper.wish.vague)
        wake_locked(sleeper.database, lane, 1);
}

pg_atomic_uint32 *counter(Purpose purpose)
{
    return purpose == Purpose::end ? &board()->asleep_for_end : &board()->asleep_for_job;
}

bool any(Purpose purpose) { return board() != nullptr && pg_atomic_read_u32(counter(purpose)) > 0; }

} // namespace

void Wish::add(std::int32_t lane)
{
    if (lane_count == max_wanted_lanes)
        vague = true;
    else
        lanes[lane_count++] = lane;
}

namespace {

bool role_has_a_place(Oid role)
{
    bool has = false;
    each([&](const Sleeper &sleeper) { has = has || sleeper.role == role; });
    return has;
}

// To be asked under the lock.
bool may_have_a_place(Purpose purpose, Oid role)
{
    if (dlist_is_empty(&board()->free_places))
        return false;
    const int for_end = static_cast<int>(pg_atomic_read_u32(counter(Purpose::end)));
    const int asleep = for_end + static_cast<int>(pg_atomic_read_u32(counter(Purpose::claim)));
    if (purpose == Purpose::end && for_end >= (settings::max_waiters + 1) / 2)
        return false;
    const int kept = settings::max_waiters / 10;
    return settings::max_waiters - asleep > kept || !role_has_a_place(role);
}

} // namespace

// A place is armed for nothing until the first look.
Place::Place(Purpose purpose, std::uint64_t worker) : has_place_(false)
{
    Board *shared = board();
    if (shared == nullptr || mine != nullptr)
        return;
    const Oid role = GetUserId();
    BoardLock lock(Lock::sleepers);
    if (!may_have_a_place(purpose, role))
        return;
    mine = sleeper_of(dlist_pop_head_node(&shared->free_places));
    mine->database = MyDatabaseId;
    mine->process = pg::my_process_number();
    mine->purpose = purpose;
    mine->wish = {};
    mine->job = {};
    mine->woken_for = no_lane;
    mine->again = false;
    mine->role = role;
    mine->worker = worker;
    my_level = GetCurrentTransactionNestLevel();
    pg_atomic_write_u32(&mine->woken, 0);
    dlist_push_tail(&shared->sleepers, &mine->links);
    pg_atomic_fetch_add_u32(counter(purpose), 1);
    has_place_ = true;
}

Place::~Place() { leave(); }

void Place::arm(const Wish &wish)
{
    BoardLock lock(Lock::sleepers);
    mine->wish = wish;
    pg_atomic_write_u32(&mine->woken, 0);
}

void Place::arm(const pg_uuid_t &job)
{
    BoardLock lock(Lock::sleepers);
    mine->job = job;
    pg_atomic_write_u32(&mine->woken, 0);
}

void Place::sleep(long milliseconds, std::uint32_t wait_event)
{
    const pg::Moment end = pg::in_milliseconds(milliseconds);
    {
        BoardLock lock(Lock::sleepers);
        if (pg_atomic_read_u32(&mine->woken) == 0 || mine->again)
            mine->woken_for = no_lane; // what it was woken for, it did not find
        mine->again = false;
    }
    while (pg_atomic_read_u32(&mine->woken) == 0) {
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
        sleepers::forget();
    has_place_ = false;
}

// Who was woken for what it took instead, and is looking for it, may find the other: so nobody is woken when two that
// want either take each other's.
void Place::took_jobs()
{
    BoardLock lock(Lock::sleepers);
    const std::int32_t lane = std::exchange(mine->woken_for, no_lane);
    if (lane == no_lane || mine->wish.vague || notes::took(lane))
        return;
    Sleeper *looking = nullptr;
    each([&](Sleeper &other) {
        if (other.database == mine->database && other.woken_for != no_lane && !other.wish.vague &&
            notes::took(other.woken_for) && includes(other.wish, lane))
            looking = &other;
    });
    if (looking != nullptr) {
        looking->woken_for = lane;
        looking->again = false;
        pg_atomic_write_u32(&looking->woken, 1);
    } else
        wake_locked(mine->database, lane, 1);
}

namespace sleepers {

bool any() { return shared::any(Purpose::claim); }
bool any_for_end() { return shared::any(Purpose::end); }

int wake(Oid database, std::int32_t lane, int count)
{
    if (!any())
        return 0;
    BoardLock lock(Lock::sleepers);
    return wake_locked(database, lane, count);
}

std::uint64_t hash_of_worker(std::string_view name)
{
    const Datum hash = hash_any_extended(reinterpret_cast<const unsigned char *>(name.data()),
                                         static_cast<int>(name.size()), MyDatabaseId);
    return std::max<std::uint64_t>(DatumGetUInt64(hash), 1);
}

// Noted before anybody is woken, so that whoever wakes for it sees that it is over. Who was woken for a job keeps that wake:
// on its way out it hands it to somebody else.
void dismiss(std::uint64_t worker)
{
    if (board() == nullptr)
        return;
    BoardLock lock(Lock::sleepers);
    const std::uint32_t before = pg_atomic_read_u32(&board()->dismissals);
    board()->dismissed[before % std::size(board()->dismissed)] = worker;
    pg_atomic_write_u32(&board()->dismissals, before + 1);
    each([&](Sleeper &sleeper) {
        if (sleeper.database == MyDatabaseId && sleeper.purpose == Purpose::claim && sleeper.worker == worker)
            wake_one(sleeper, sleeper.woken_for);
    });
}

std::uint32_t dismissals() { return board() == nullptr ? 0 : pg_atomic_read_u32(&board()->dismissals); }

// Among those that are remembered: who sleeps is woken by his own dismissal and looks at once, who has no place looks ten
// times a second, so it is among the last.
bool is_dismissed(std::uint64_t worker, std::uint32_t since)
{
    if (worker == 0 || dismissals() == since)
        return false;
    BoardLock lock(Lock::sleepers, LW_SHARED);
    const std::uint32_t count = std::min<std::uint32_t>(dismissals() - since, std::size(board()->dismissed));
    for (std::uint32_t i = 1; i <= count; ++i)
        if (board()->dismissed[(dismissals() - i) % std::size(board()->dismissed)] == worker)
            return true;
    return false;
}

void wake_for_end(Oid database, const pg_uuid_t &job)
{
    BoardLock lock(Lock::sleepers);
    each([&](Sleeper &sleeper) {
        if (unwoken(sleeper, database, Purpose::end) && std::memcmp(&job, &sleeper.job, UUID_LEN) == 0)
            wake_one(sleeper, no_lane);
    });
}

void wake_for_any_end(Oid database)
{
    if (!any_for_end())
        return;
    BoardLock lock(Lock::sleepers);
    each([&](Sleeper &sleeper) {
        if (unwoken(sleeper, database, Purpose::end))
            wake_one(sleeper, no_lane);
    });
}

void wake_all(Oid database)
{
    if (!any() && !any_for_end())
        return;
    BoardLock lock(Lock::sleepers);
    each([&](Sleeper &sleeper) {
        if (sleeper.database == database)
            wake_one(sleeper, sleeper.woken_for); // a wake for a job that it has not looked for yet stays one
    });
}

void Wanted::add(std::int32_t lane)
{
    if (std::find(lanes, lanes + lane_count, lane) != lanes + lane_count)
        return;
    if (lane_count == static_cast<int>(std::size(lanes)))
        all_lanes = true;
    else
        lanes[lane_count++] = lane;
}

Wanted wanted(Oid database)
{
    Wanted result;
    if (!any())
        return result;
    BoardLock lock(Lock::sleepers, LW_SHARED);
    each([&](Sleeper &sleeper) {
        if (!unwoken(sleeper, database, Purpose::claim))
            return;
        ++result.sleepers;
        result.all_lanes = result.all_lanes || sleeper.wish.any || sleeper.wish.vague;
        for (int i = 0; i < sleeper.wish.lane_count; ++i)
            result.add(sleeper.wish.lanes[i]);
    });
    return result;
}

void forget(int level)
{
    if (mine == nullptr || my_level < level)
        return;
    Board *shared = board();
    BoardLock lock(Lock::sleepers);
    dlist_delete(&mine->links);
    dlist_push_head(&shared->free_places, &mine->links);
    pg_atomic_fetch_sub_u32(counter(mine->purpose), 1);
    hand_on(*mine);
    mine = nullptr;
}

} // namespace sleepers

} // namespace shared
