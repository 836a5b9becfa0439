// Whom to wake: the sleepers of one database, found by what they want. shared/sleepers.hpp draws the states of a
// sleeper and says why no wake is lost; here are the choices alone, without locks, processes and tables. The caller
// holds the room's lock, so nothing here is concurrent but Sleeper::woken, which its own session reads without the
// lock.
//
// To wake one costs the same however many sleep, because a sleeper that is not to be woken stands in no list that is
// walked: a sleeper is listed under each lane that it names, from when it arms its place until it is woken. Links are
// numbers of nodes and not pointers, since the sleepers are an array in shared memory.
//
// test/unit/wakes_model_test.cpp holds all of this against the same protocol told plainly, where every question walks
// everybody.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

namespace logic::wakes {

// So many lanes a sleeper can name, each with a node of 12 bytes in shared memory; with more it is woken for any.
constexpr int max_wanted_lanes = 256;
constexpr std::int32_t no_lane = -1;

// Adds a lane to a list that has it once. False: the list is full.
inline bool add_wanted_lane(std::array<std::int32_t, max_wanted_lanes> &lanes, int &count, std::int32_t lane)
{
    const auto end = lanes.begin() + count;
    if (std::find(lanes.begin(), end, lane) != end)
        return true;
    if (count == max_wanted_lanes)
        return false;
    lanes[static_cast<std::size_t>(count++)] = lane;
    return true;
}

// What a session that claims wants to be woken for.
struct Wish {
    bool any = false; // any lane
    // It wants lanes that it cannot name: too many, or not there yet. It is woken by each job, besides those that are
    // counted, because nobody can tell whether the job is for it.
    bool vague = false;
    int lane_count = 0;
    std::array<std::int32_t, max_wanted_lanes> lanes;

    void add(std::int32_t lane) { vague = !add_wanted_lane(lanes, lane_count, lane) || vague; }
};

// The lanes that sleepers want and were not woken for, and how many there are.
struct Wanted {
    int sleepers = 0;
    bool all_lanes = false;
    int lane_count = 0;
    std::array<std::int32_t, max_wanted_lanes> lanes;

    void add(std::int32_t lane) { all_lanes = !add_wanted_lane(lanes, lane_count, lane) || all_lanes; }
};

enum class Purpose : std::uint8_t {
    claim, // a job to claim: what the wish says
    end,   // the end of one job
};

using JobId = std::array<std::uint8_t, 16>;
using Number = std::int32_t; // of a sleeper, or of a node of one
constexpr Number none = -1;

// One membership of a sleeper in a list. `lane` is what the sleeper wants by it, if the list is of lanes.
struct Node {
    Number previous, next;
    std::int32_t lane;
};

struct List {
    Number first = none, last = none;
};

// Sleepers by what they want: each in one of the first two lists, or in that of each lane that it names.
struct Listing {
    List vague, any;
    // By lane modulo 256: each of the first 256 lanes of a database has a list of its own. Where two lanes share a
    // list, to wake for one of them costs a look at each sleeper of the other.
    std::array<List, 256> by_lane;
};

// In which list of its room a sleeper stands.
enum class Listed : std::uint8_t { nowhere, asleep, called, for_end };

struct Sleeper {
    std::atomic<bool> woken; // read without the lock by the sleeper itself
    bool armed;              // it can be woken
    bool again;              // while it looked for what it was woken for, more came: it is to look once more
    Purpose purpose;
    Listed listed;
    bool any, vague;
    int lane_count;
    std::int32_t woken_for; // a lane, until the sleeper sleeps again or takes jobs; no_lane: for none
    std::uint64_t ticket;   // of its call: a later one has a greater number
    std::uint64_t worker;   // a hash of the name that it claims under; 0: none
    std::uint32_t process;
    std::uint32_t role; // the role as which it waits
    JobId job;
    // One node for each lane that the sleeper names; where it names none, the first one is for the list `any`, `vague`
    // or for_end. Then one for the list of all in the room, or of the free ones, and one for the list of its role.
    std::array<Node, max_wanted_lanes + 2> nodes;
};

constexpr int nodes_of_one = max_wanted_lanes + 2;
constexpr int node_of_all = max_wanted_lanes;
constexpr int node_of_role = max_wanted_lanes + 1;

// The sleepers of a database.
struct Room {
    List all;
    Listing asleep;               // armed and not woken: those that are woken for jobs
    Listing called;               // woken for a lane, and on their way or looking for its job
    std::array<List, 64> for_end; // by a hash of the job
};

constexpr Number owner(Number node) { return node / nodes_of_one; }
constexpr Number node_of(Number sleeper, int which) { return sleeper * nodes_of_one + which; }

// Lists whose nodes are in an array of sleepers.
class Lists {
public:
    explicit Lists(Sleeper *sleepers) : sleepers_(sleepers) {}

    Sleeper &sleeper(Number number) const { return sleepers_[number]; }
    Sleeper &owner_of(Number node) const { return sleepers_[owner(node)]; }
    Node &node(Number number) const
    {
        ++looked_at_;
        return owner_of(number).nodes[static_cast<std::size_t>(number % nodes_of_one)];
    }

    void push_last(List &list, Number number) const { link(list, list.last, number, none); }
    void push_first(List &list, Number number) const { link(list, none, number, list.first); }

    // Inserts by ticket, so that a sleeper that was woken in vain is the longest asleep again. Looks for the place from
    // both ends at once, since a new sleeper belongs to the end and one that comes back to the beginning.
    void insert_by_ticket(List &list, Number number) const
    {
        const std::uint64_t ticket = owner_of(number).ticket;
        Number before = list.last, after = list.first;
        while (before != none && owner_of(before).ticket > ticket) {
            if (owner_of(after).ticket > ticket)
                return link(list, node(after).previous, number, after);
            before = node(before).previous;
            after = node(after).next;
        }
        link(list, before, number, before == none ? list.first : node(before).next);
    }

    void unlink(List &list, Number number) const
    {
        const Node gone = node(number);
        (gone.previous == none ? list.first : node(gone.previous).next) = gone.next;
        (gone.next == none ? list.last : node(gone.next).previous) = gone.previous;
    }

    // Calls `each` with every sleeper of a list; `each` may take that sleeper out, but no other one.
    template <class Each>
    void for_each(const List &list, Each each) const
    {
        for (Number at = list.first, next; at != none; at = next) {
            next = node(at).next;
            each(owner(at));
        }
    }

    // How often a node was read: what a choice costs.
    long looked_at() const { return looked_at_; }

private:
    void link(List &list, Number before, Number number, Number after) const
    {
        Node &inserted = node(number);
        inserted.previous = before;
        inserted.next = after;
        (before == none ? list.first : node(before).next) = number;
        (after == none ? list.last : node(after).previous) = number;
    }

    Sleeper *sleepers_;
    mutable long looked_at_ = 0;
};

// A room and what is done in it, for a session or worker that holds its lock. `Signal` is called with each sleeper
// whose process is to be woken, after its flag was set.
template <class Signal>
class Wakes {
public:
    Wakes(Room &room, Sleeper *sleepers, Signal signal) : room_(room), lists_(sleepers), signal_(signal) {}

    // A sleeper comes into the room. Nobody wakes it for anything before it is armed.
    void enter(Number who)
    {
        Sleeper &sleeper = lists_.sleeper(who);
        sleeper.woken = sleeper.armed = sleeper.again = sleeper.any = sleeper.vague = false;
        sleeper.listed = Listed::nowhere;
        sleeper.lane_count = 0;
        sleeper.woken_for = no_lane;
        lists_.push_last(room_.all, node_of(who, node_of_all));
    }

    // The sleeper leaves: it has a job, was cancelled, its time is over. If it was woken for a lane and took nothing of
    // that, another one is woken: the job is still there, and nobody else has been told of it.
    void leave_place(Number who)
    {
        lists_.unlink(room_.all, node_of(who, node_of_all));
        const std::int32_t lane = disarm(who);
        if (lane != no_lane)
            wake(lane, 1);
    }

    // From now on the sleeper is woken for what it wishes. If it was woken for a lane and has not looked yet, it keeps
    // that wake and stays listed as called, now as looking: so its own wake is not lost, and it is not woken for a
    // second job. A sleeper whose wish is the same stays in the lists where it is.
    void arm_place(Number who, const Wish &wish)
    {
        Sleeper &sleeper = lists_.sleeper(who);
        if (!wants_the_same(sleeper, wish)) {
            unlist(who);
            sleeper.any = wish.any;
            sleeper.vague = wish.vague;
            sleeper.lane_count = wish.lane_count;
            for (std::size_t i = 0; i < static_cast<std::size_t>(wish.lane_count); ++i)
                sleeper.nodes[i].lane = wish.lanes[i];
        }
        sleeper.armed = true;
        sleeper.woken = false;
        relist(who);
    }

    void arm_place(Number who, const JobId &job)
    {
        unlist(who);
        Sleeper &sleeper = lists_.sleeper(who);
        sleeper.job = job;
        sleeper.armed = true;
        sleeper.woken = false;
        relist(who);
    }

    // The sleeper has looked and found nothing, so it drops the wake for which it looked: its job was taken by somebody
    // else. If it was woken since it armed its place, it keeps that wake, because its look may have begun before: it
    // looks again at once. `again` is such a wake for no lane.
    void falls_asleep(Number who)
    {
        Sleeper &sleeper = lists_.sleeper(who);
        if (!sleeper.woken || sleeper.again)
            sleeper.woken_for = no_lane;
        sleeper.again = false;
        relist(who);
    }

    // The sleeper has taken jobs; `took` says whether one of a lane. If it was woken for lane A and took none of A, its
    // wake for A is for another one. If another sleeper that wants A was woken for a lane of which this one took a job,
    // that one would look in vain: it gets the wake for A in exchange. So nobody is woken when two that want either
    // lane take each other's job. That one needs no signal: it is on its way, and asks whether it was woken before it
    // sleeps.
    template <class Took>
    void place_took_jobs(Number who, Took took)
    {
        const std::int32_t lane = disarm(who);
        if (lane == no_lane || took(lane))
            return;
        const Number other = last_in_vain(lane, took);
        if (other == none) {
            wake(lane, 1);
            return;
        }
        Sleeper &looking = lists_.sleeper(other);
        looking.woken_for = lane;
        looking.again = false;
        looking.woken = true;
    }

    // So many jobs of the lane are there: wakes as many sleepers that want it, by their tickets, and all vague ones
    // besides. Returns how many of either. Where fewer sleep than jobs came, those that are looking look once more.
    int wake(std::int32_t lane, int count)
    {
        int woken = 0;
        if (count <= 0)
            return woken;
        for (; room_.asleep.vague.first != none; ++woken)
            wake_for(owner(room_.asleep.vague.first), lane);
        Number named = same_lane(bucket(room_.asleep, lane).first, lane), any = room_.asleep.any.first;
        for (; count > 0 && (named != none || any != none); --count, ++woken) {
            const bool is_named = any == none || (named != none && ticket(named) < ticket(any));
            Number &chosen = is_named ? named : any;
            const Number who = owner(chosen);
            // On to the next one before this one is woken, since that takes it out of the list.
            chosen = is_named ? next_of_lane(named, lane) : lists_.node(any).next;
            wake_for(who, lane);
        }
        if (count > 0)
            look_again(lane);
        return woken;
    }

    void wake_for_end(const JobId &job)
    {
        lists_.for_each(ends_of(job), [&](Number who) {
            if (lists_.sleeper(who).job == job)
                wake_whatever_for(who);
        });
    }

    void wake_for_any_end()
    {
        for (const List &list : room_.for_end)
            lists_.for_each(list, [&](Number who) { wake_whatever_for(who); });
    }

    // Wakes all in the room, because what they know may have changed. One that was woken for a job and has not looked
    // for it yet keeps that wake.
    void wake_all()
    {
        lists_.for_each(room_.all, [&](Number who) { wake_whatever_for(who); });
    }

    // Wakes all that claim under this name. One that was woken for a job keeps that wake, and hands it on when it
    // leaves.
    void dismiss(std::uint64_t worker)
    {
        lists_.for_each(room_.all, [&](Number who) {
            const Sleeper &sleeper = lists_.sleeper(who);
            if (sleeper.purpose == Purpose::claim && sleeper.worker == worker)
                wake_whatever_for(who);
        });
    }

    // What the sleepers want that were not woken, for the worker: those that were are going to look anyway.
    Wanted wanted() const
    {
        Wanted result;
        lists_.for_each(room_.all, [&](Number who) {
            const Sleeper &sleeper = lists_.sleeper(who);
            if (sleeper.purpose != Purpose::claim || sleeper.woken)
                return;
            ++result.sleepers;
            result.all_lanes = result.all_lanes || sleeper.any || sleeper.vague;
            for (const Node &node : lanes_of(sleeper))
                result.add(node.lane);
        });
        return result;
    }

    long looked_at() const { return lists_.looked_at(); }

private:
    static std::span<const Node> lanes_of(const Sleeper &sleeper)
    {
        return std::span(sleeper.nodes).first(static_cast<std::size_t>(sleeper.lane_count));
    }

    static bool wants_the_same(const Sleeper &sleeper, const Wish &wish)
    {
        const std::span<const Node> lanes = lanes_of(sleeper);
        return sleeper.armed && sleeper.any == wish.any && sleeper.vague == wish.vague &&
               sleeper.lane_count == wish.lane_count &&
               std::equal(lanes.begin(), lanes.end(), wish.lanes.begin(),
                          [](const Node &node, std::int32_t lane) { return node.lane == lane; });
    }

    static List &bucket(Listing &listing, std::int32_t lane)
    {
        return listing.by_lane[static_cast<std::uint32_t>(lane) % listing.by_lane.size()];
    }

    List &ends_of(const JobId &job) { return room_.for_end[job.back() % room_.for_end.size()]; }

    std::uint64_t ticket(Number node) const { return lists_.owner_of(node).ticket; }

    // This node of a bucket, or the first one behind it, that is of the lane.
    Number same_lane(Number node, std::int32_t lane) const
    {
        while (node != none && lists_.node(node).lane != lane)
            node = lists_.node(node).next;
        return node;
    }

    // The next node of the lane that is another sleeper's. A bucket has several nodes of a sleeper that names lanes of
    // the same hash; they stand side by side, because the sleeper is listed under all of its lanes at once, by one
    // ticket.
    Number next_of_lane(Number node, std::int32_t lane) const
    {
        const Number who = owner(node);
        while (node != none && owner(node) == who)
            node = lists_.node(node).next;
        return same_lane(node, lane);
    }

    // Where the sleeper is to be listed, by its flags alone. Called: nobody wakes it for another job. Nowhere: woken
    // for no lane, or not armed.
    static Listed where_to_list(const Sleeper &sleeper)
    {
        if (sleeper.woken_for != no_lane)
            return Listed::called;
        if (!sleeper.armed || sleeper.woken)
            return Listed::nowhere;
        return sleeper.purpose == Purpose::claim ? Listed::asleep : Listed::for_end;
    }

    // Calls `each` with every list in which a sleeper stands, and its node there.
    template <class Each>
    void each_membership(Number who, Each each)
    {
        const Sleeper &sleeper = lists_.sleeper(who);
        const Number first = node_of(who, 0);
        if (sleeper.listed == Listed::nowhere)
            return;
        if (sleeper.listed == Listed::for_end)
            return each(ends_of(sleeper.job), first);
        Listing &listing = sleeper.listed == Listed::called ? room_.called : room_.asleep;
        if (sleeper.vague || sleeper.any)
            return each(sleeper.vague ? listing.vague : listing.any, first);
        for (int i = 0; i < sleeper.lane_count; ++i)
            each(bucket(listing, sleeper.nodes[static_cast<std::size_t>(i)].lane), first + i);
    }

    void unlist(Number who)
    {
        each_membership(who, [&](List &list, Number node) { lists_.unlink(list, node); });
        lists_.sleeper(who).listed = Listed::nowhere;
    }

    // To be called after each change of a flag that decides where the sleeper is listed. The order by ticket matters
    // among those asleep only.
    void relist(Number who)
    {
        Sleeper &sleeper = lists_.sleeper(who);
        const Listed where = where_to_list(sleeper);
        if (where == sleeper.listed)
            return;
        unlist(who);
        sleeper.listed = where;
        each_membership(who, [&](List &list, Number node) {
            if (where == Listed::asleep)
                lists_.insert_by_ticket(list, node);
            else
                lists_.push_last(list, node);
        });
    }

    // Nobody wakes the sleeper any more. Returns the lane for which it was woken, if that wake can be another one's:
    // that of a vague one is not, because it counted for no job.
    std::int32_t disarm(Number who)
    {
        Sleeper &sleeper = lists_.sleeper(who);
        unlist(who);
        sleeper.armed = false;
        const std::int32_t lane = std::exchange(sleeper.woken_for, no_lane);
        return sleeper.vague ? no_lane : lane;
    }

    void wake_for(Number who, std::int32_t lane)
    {
        lists_.sleeper(who).woken_for = lane;
        wake_whatever_for(who);
    }

    void wake_whatever_for(Number who)
    {
        Sleeper &sleeper = lists_.sleeper(who);
        sleeper.woken = true;
        relist(who);
        signal_(sleeper);
    }

    // Has all that are looking and want the lane look once more: more jobs came than there are sleepers. Any of them
    // may take what it was woken for, and leave; but the snapshot of its look may be older than what came, so it may as
    // well find nothing and sleep. It needs no signal, because it is not asleep, and asks whether it was woken before
    // it is.
    void look_again(std::int32_t lane)
    {
        each_called(lane, [](Sleeper &sleeper, Number) {
            if (!sleeper.woken)
                sleeper.woken = sleeper.again = true;
        });
    }

    // Calls `each` with those that were woken for any lane and want this one.
    template <class Each>
    void each_called(std::int32_t lane, Each each)
    {
        for (const List *list : {&room_.called.vague, &room_.called.any})
            lists_.for_each(*list, [&](Number who) { each(lists_.sleeper(who), who); });
        Number at = same_lane(bucket(room_.called, lane).first, lane);
        for (; at != none; at = next_of_lane(at, lane))
            each(lists_.owner_of(at), owner(at));
    }

    template <class Took>
    Number last_in_vain(std::int32_t lane, Took took)
    {
        Number last = none;
        each_called(lane, [&](const Sleeper &sleeper, Number who) {
            const bool is_later = last == none || sleeper.ticket > lists_.sleeper(last).ticket;
            if (is_later && !sleeper.vague && took(sleeper.woken_for))
                last = who;
        });
        return last;
    }

    Room &room_;
    Lists lists_;
    Signal signal_;
};

// Whether one more session may have a place, when so many have one to claim and to wait for an end, of `most`. Sessions
// that wait for an end may have half of the places: anybody may wait so, and they must not keep workers from sleeping.
// The last tenth is for roles that have none: one role's sleepers must not keep all others from sleeping.
template <class RoleHasOne>
constexpr bool may_have_a_place(Purpose purpose, int for_claim, int for_end, int most, RoleHasOne role_has_one)
{
    const int free = most - for_claim - for_end;
    if (free <= 0 || (purpose == Purpose::end && for_end >= (most + 1) / 2))
        return false;
    return free > most / 10 || !role_has_one();
}

} // namespace logic::wakes
