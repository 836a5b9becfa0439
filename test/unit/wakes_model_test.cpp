// Whom a wake wakes, held against the same protocol told plainly; and sessions that live by it, none of which may
// sleep while there is a job for it that nobody is told of.
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "wakes_server.hpp"

namespace {

using namespace wakes_test;

JobId job_number(int number) { return {0, 0, 0, static_cast<std::uint8_t>(number)}; }

// The same protocol told plainly: every question walks everybody in the order of their tickets.
struct Plain {
    bool armed = false, woken = false, again = false;
    Purpose purpose = Purpose::claim;
    std::int32_t woken_for = no_lane;
    std::uint64_t worker = 0;
    Wish wish;
    JobId job{};
};

bool includes(const Wish &wish, std::int32_t lane)
{
    const auto end = wish.lanes.begin() + wish.lane_count;
    return wish.any || wish.vague || std::find(wish.lanes.begin(), end, lane) != end;
}

class PlainRoom {
public:
    std::vector<std::pair<Number, Plain>> all; // by ticket

    Plain &at(Number who)
    {
        return std::find_if(all.begin(), all.end(), [&](auto &one) { return one.first == who; })->second;
    }

    int wake(std::int32_t lane, int count)
    {
        int woken = 0;
        if (count <= 0)
            return woken;
        for (auto &[who, one] : all)
            if (wants(one, lane) && one.woken_for == no_lane && (count > 0 || one.wish.vague)) {
                one.woken_for = lane;
                one.woken = true;
                count -= one.wish.vague ? 0 : 1;
                ++woken;
            }
        for (auto &[who, one] : all)
            if (count > 0 && wants(one, lane) && one.woken_for != no_lane)
                one.woken = one.again = true;
        return woken;
    }

    void hand_on(std::int32_t lane, bool vague)
    {
        if (lane != no_lane && !vague)
            wake(lane, 1);
    }

    void leave(Number who)
    {
        const Plain gone = at(who);
        std::erase_if(all, [&](auto &one) { return one.first == who; });
        hand_on(gone.woken_for, gone.wish.vague);
    }

    template <class Took>
    void took_jobs(Number who, Took took)
    {
        Plain &taker = at(who);
        taker.armed = false;
        const std::int32_t lane = std::exchange(taker.woken_for, no_lane);
        if (lane == no_lane || taker.wish.vague || took(lane))
            return;
        Plain *looking = nullptr;
        for (auto &[number, one] : all)
            if (one.woken_for != no_lane && !one.wish.vague && took(one.woken_for) && includes(one.wish, lane))
                looking = &one;
        if (looking == nullptr) {
            hand_on(lane, false);
            return;
        }
        looking->woken_for = lane;
        looking->again = false;
        looking->woken = true;
    }

private:
    static bool wants(const Plain &one, std::int32_t lane)
    {
        return one.armed && !one.woken && one.purpose == Purpose::claim && includes(one.wish, lane);
    }
};

class Random {
public:
    explicit Random(unsigned seed) : engine_(seed) {}
    int below(int limit) { return static_cast<int>(engine_() % static_cast<unsigned>(limit)); }
    bool one_in(int many) { return below(many) == 0; }
    Wish wish()
    {
        static constexpr std::int32_t lanes[] = {1, 2, 257, 513, 3};
        Wish wish;
        wish.any = one_in(6);
        wish.vague = one_in(8);
        for (int i = below(4); i > 0; --i)
            wish.add(lanes[below(5)]);
        return wish;
    }

private:
    std::mt19937 engine_;
};

// The same things happen to sleepers of a room and to those of a plain one.
class Twins {
public:
    explicit Twins(unsigned seed) : random_(seed) {}

    void step()
    {
        const Number who = random_.below(places);
        if (!present_[static_cast<std::size_t>(who)])
            enter(who);
        else if (random_.one_in(2))
            live(who);
        else
            happen(who);
        expect_same();
    }

private:
    static constexpr int places = 9;

    std::int32_t lane() { return std::array{1, 2, 257, 513, 3}[static_cast<std::size_t>(random_.below(5))]; }

    void enter(Number who)
    {
        const Purpose purpose = random_.one_in(4) ? Purpose::end : Purpose::claim;
        const auto worker = static_cast<std::uint64_t>(random_.below(3));
        server_.enter(who, 0, purpose, worker);
        plain_.all.push_back({who, {.purpose = purpose, .worker = worker}});
        present_[static_cast<std::size_t>(who)] = true;
    }

    void arm(Number who)
    {
        Plain &one = plain_.at(who);
        if (one.purpose == Purpose::end) {
            one.job = job_number(random_.below(3));
            server_.room().arm_place(who, one.job);
        } else {
            if (!one.armed || random_.one_in(3))
                one.wish = random_.wish();
            server_.room().arm_place(who, one.wish);
        }
        one.armed = true;
        one.woken = false;
    }

    // What a session does at its own place.
    void live(Number who)
    {
        Plain &one = plain_.at(who);
        switch (random_.below(7)) {
        case 0:
            if (one.purpose != Purpose::claim)
                break;
            {
                const std::set<std::int32_t> lanes{lane(), lane()};
                const auto took = [&](std::int32_t asked) { return lanes.contains(asked); };
                plain_.took_jobs(who, took);
                server_.room().place_took_jobs(who, took);
            }
            break;
        case 1:
            present_[static_cast<std::size_t>(who)] = false;
            plain_.leave(who);
            server_.room().leave_place(who);
            break;
        case 2:
        case 3:
            if (!one.woken || one.again)
                one.woken_for = no_lane;
            one.again = false;
            server_.room().falls_asleep(who);
            break;
        default:
            arm(who);
        }
    }

    template <class Whom>
    void wake_plain(Whom whom)
    {
        for (auto &[who, one] : plain_.all)
            one.woken = one.woken || whom(one);
    }

    // What others do.
    void happen(Number who)
    {
        const JobId job = job_number(who % 3);
        switch (random_.below(12)) {
        case 0:
            wake_plain([](const Plain &one) { return one.purpose == Purpose::claim && one.worker == 1; });
            server_.room().dismiss(1);
            break;
        case 1:
            wake_plain([](const Plain &) { return true; });
            server_.room().wake_all();
            break;
        case 2:
            wake_plain([](const Plain &one) { return one.purpose == Purpose::end && one.armed; });
            server_.room().wake_for_any_end();
            break;
        case 3:
        case 4:
            wake_plain([&](const Plain &one) { return one.purpose == Purpose::end && one.armed && one.job == job; });
            server_.room().wake_for_end(job);
            break;
        default:
            const std::int32_t of = lane();
            const int count = random_.below(4);
            ASSERT_EQ(server_.room().wake(of, count), plain_.wake(of, count));
        }
    }

    void expect_same()
    {
        for (const auto &[who, one] : plain_.all) {
            const Sleeper &sleeper = server_.sleeper(who);
            ASSERT_EQ(sleeper.armed, one.armed) << who;
            ASSERT_EQ(sleeper.woken, one.woken) << who;
            ASSERT_EQ(sleeper.again, one.again) << who;
            ASSERT_EQ(sleeper.woken_for, one.woken_for) << who;
        }
    }

    Random random_;
    Server server_{1, places};
    PlainRoom plain_;
    std::vector<bool> present_ = std::vector<bool>(places);
};

TEST(Wakes, are_those_of_the_plain_protocol)
{
    for (unsigned seed = 0; seed < 300; ++seed) {
        Twins twins(seed);
        for (int step = 0; step < 300; ++step) {
            twins.step();
            ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed << ", step " << step;
        }
    }
}

// Sessions that live by the protocol, step by step in any order, on a table of jobs of which each lane has some.
class World {
public:
    explicit World(unsigned seed)
        : rarely_(2 + static_cast<int>(seed % 16)), random_(seed), server_(1, sessions), session_(sessions)
    {
    }

    void live(int steps)
    {
        while (steps-- > 0) {
            if (random_.one_in(rarely_))
                commit();
            else
                advance(random_.below(sessions), true);
        }
    }

    // Nobody commits or cancels any more: all go on until they sleep.
    void settle()
    {
        tell_all();
        for (int turn = 0; turn < 1000; ++turn)
            for (Number who = 0; who < sessions; ++who)
                if (session_[index(who)].at != At::away)
                    advance(who, false);
    }

    // A job that somebody sleeps for and is not told of.
    std::int32_t lost() const
    {
        for (const std::int32_t lane : there_)
            for (const Session &session : session_)
                if (session.at == At::asleep && includes(session.wish, lane))
                    return lane;
        return no_lane;
    }

private:
    static constexpr int sessions = 6;
    static std::size_t index(Number who) { return static_cast<std::size_t>(who); }
    using Jobs = std::multiset<std::int32_t>; // by their lane

    enum class At { away, arms, looks, takes, falls_asleep, asleep };
    struct Session {
        At at = At::away;
        Wish wish;
        Jobs snapshot;
    };

    // A commit makes its jobs visible first and tells it later.
    void commit()
    {
        if (random_.one_in(2) && !untold_.empty()) {
            tell_all();
            return;
        }
        const std::int32_t lane = 1 + random_.below(3);
        for (int jobs = 1 + random_.below(2); jobs > 0; --jobs) {
            there_.insert(lane);
            untold_.push_back(lane);
        }
    }

    void tell_all()
    {
        for (const std::int32_t lane : untold_)
            server_.room().wake(lane, 1);
        untold_.clear();
    }

    bool take(std::int32_t lane)
    {
        const auto job = there_.find(lane);
        if (job == there_.end())
            return false;
        there_.erase(job);
        return true;
    }

    // What it saw and is there still; of several lanes any.
    std::int32_t take_one(const Session &session)
    {
        std::vector<std::int32_t> lanes(session.snapshot.begin(), session.snapshot.end());
        if (random_.one_in(2))
            std::reverse(lanes.begin(), lanes.end());
        for (const std::int32_t lane : lanes)
            if (includes(session.wish, lane) && take(lane))
                return lane;
        return no_lane;
    }

    void leave(Number who)
    {
        server_.room().leave_place(who);
        session_[index(who)].at = At::away;
    }

    void takes(Number who, bool anything_may_happen)
    {
        Session &session = session_[index(who)];
        const std::int32_t taken = take_one(session);
        if (taken == no_lane) {
            session.at = At::falls_asleep;
            return;
        }
        server_.room().place_took_jobs(who, [&](std::int32_t lane) { return lane == taken; });
        leave(who);
        if (anything_may_happen && random_.one_in(4)) { // rolled back
            there_.insert(taken);
            untold_.push_back(taken);
        }
    }

    void advance(Number who, bool anything_may_happen)
    {
        Session &session = session_[index(who)];
        if (anything_may_happen && session.at != At::away && random_.one_in(12)) {
            leave(who);
            return;
        }
        switch (session.at) {
        case At::away:
            if (random_.one_in(8)) { // it claims without a wait
                take(1 + random_.below(3));
                return;
            }
            session.wish = {};
            session.wish.any = random_.one_in(4);
            session.wish.vague = random_.one_in(10);
            for (int lanes = 1 + random_.below(2); lanes > 0; --lanes)
                session.wish.add(1 + random_.below(3));
            server_.enter(who);
            session.at = At::arms;
            return;
        case At::arms:
            server_.room().arm_place(who, session.wish);
            session.at = At::looks;
            return;
        case At::looks:
            session.snapshot = there_;
            session.at = At::takes;
            return;
        case At::takes:
            takes(who, anything_may_happen);
            return;
        case At::falls_asleep:
            server_.room().falls_asleep(who);
            session.at = At::asleep;
            return;
        case At::asleep:
            if (server_.sleeper(who).woken)
                session.at = At::arms;
            return;
        }
    }

    int rarely_; // somebody commits: more jobs than sleepers in one world, fewer in another
    Random random_;
    Server server_;
    std::vector<Session> session_;
    Jobs there_;
    std::vector<std::int32_t> untold_; // of which it was not told yet
};

TEST(Wakes, none_is_lost)
{
    for (unsigned seed = 0; seed < 3000; ++seed) {
        World world(seed);
        world.live(200);
        world.settle();
        ASSERT_EQ(world.lost(), no_lane) << "seed " << seed;
    }
}

} // namespace
