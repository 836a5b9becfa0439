// The depth of a queue that others change while it is counted: what each call adds, and random interleavings of a count
// with transactions.
#include "logic/counted_depth.hpp"

#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace logic;

QueuePlace at(std::int16_t rank, Instant due_at) { return {rank, first_place(due_at)}; }

TEST(CountedDepth, knows_nothing_before_a_count)
{
    CountedDepth depth;
    depth.add(QueuePart::waiting, 3, std::nullopt);
    EXPECT_FALSE(depth.shown());
    EXPECT_TRUE(depth.is_doubtful());
}

CountedDepth counted(std::int64_t waiting, std::int64_t running)
{
    CountedDepth depth;
    depth.begin();
    depth.begin_step(QueuePart::running, queue_end);
    depth.end_step(QueuePart::running, running);
    depth.begin_step(QueuePart::waiting, queue_end);
    depth.end_step(QueuePart::waiting, waiting);
    return depth;
}

TEST(CountedDepth, adds_what_is_told_after_a_count)
{
    CountedDepth depth = counted(1000, 5);
    EXPECT_FALSE(depth.is_doubtful());
    depth.add(QueuePart::waiting, -2, std::nullopt);
    depth.add(QueuePart::running, 1, at(0, 7));
    EXPECT_EQ(depth.shown()->waiting, 998);
    EXPECT_EQ(depth.shown()->running, 6);
}

TEST(CountedDepth, adds_what_is_told_of_places_that_were_counted_alone)
{
    CountedDepth depth;
    depth.begin();
    depth.add(QueuePart::running, 1, std::nullopt); // the part was not begun: the rows are still to be found
    depth.begin_step(QueuePart::running, queue_end);
    depth.end_step(QueuePart::running, 1);
    depth.add(QueuePart::running, 1, std::nullopt); // and here it is done
    depth.begin_step(QueuePart::waiting, at(0, 10));
    depth.add(QueuePart::waiting, 1, at(0, 9)); // the snapshot does not show it
    depth.end_step(QueuePart::waiting, 100);
    depth.add(QueuePart::waiting, -1, at(-1, 20));
    depth.add(QueuePart::waiting, 7, at(0, 10));
    EXPECT_FALSE(depth.shown());
    depth.begin_step(QueuePart::waiting, queue_end);
    depth.end_step(QueuePart::waiting, 50);
    EXPECT_EQ(depth.shown()->running, 2);
    EXPECT_EQ(depth.shown()->waiting, 150);
    EXPECT_FALSE(depth.is_doubtful());
}

TEST(CountedDepth, is_shown_while_it_is_doubtful)
{
    CountedDepth depth = counted(10, 0);
    depth.doubt();
    EXPECT_TRUE(depth.is_doubtful());
    EXPECT_EQ(depth.shown()->waiting, 10);
    depth.begin();
    depth.add(QueuePart::waiting, 1, std::nullopt);
    EXPECT_EQ(depth.shown()->waiting, 11);
    depth.doubt(); // meanwhile: the count is better than what was, and another one follows
    depth.begin_step(QueuePart::running, queue_end);
    depth.end_step(QueuePart::running, 0);
    depth.begin_step(QueuePart::waiting, queue_end);
    depth.end_step(QueuePart::waiting, 25);
    EXPECT_EQ(depth.shown()->waiting, 25);
    EXPECT_TRUE(depth.is_doubtful());
}

TEST(CountedDepth, doubts_what_is_told_without_a_place_in_the_middle)
{
    CountedDepth depth = counted(10, 0);
    depth.begin();
    depth.begin_step(QueuePart::running, queue_end);
    depth.end_step(QueuePart::running, 0);
    depth.begin_step(QueuePart::waiting, at(0, 5));
    depth.end_step(QueuePart::waiting, 6);
    depth.add(QueuePart::waiting, 1, std::nullopt);
    depth.begin_step(QueuePart::waiting, queue_end);
    depth.end_step(QueuePart::waiting, 5);
    EXPECT_EQ(depth.shown()->waiting, 11);
    EXPECT_TRUE(depth.is_doubtful());
}

TEST(CountedDepth, doubts_rows_that_moved_if_that_was_in_the_middle)
{
    CountedDepth depth = counted(10, 0);
    for (const bool in_the_middle : {false, true}) {
        depth.add(QueuePart::waiting, 0, std::nullopt);
        depth.begin();
        depth.add(QueuePart::waiting, 0, std::nullopt);
        depth.begin_step(QueuePart::running, queue_end);
        depth.end_step(QueuePart::running, 0);
        depth.begin_step(QueuePart::waiting, at(0, 5));
        depth.end_step(QueuePart::waiting, 6);
        depth.add(in_the_middle ? QueuePart::waiting : QueuePart::running, 0, std::nullopt);
        depth.begin_step(QueuePart::waiting, queue_end);
        depth.end_step(QueuePart::waiting, 4);
        EXPECT_EQ(depth.shown()->waiting, 10);
        EXPECT_EQ(depth.is_doubtful(), in_the_middle);
    }
}

TEST(CountedDepth, forgets_a_queue_that_is_written_anew)
{
    CountedDepth depth = counted(10, 0);
    depth.begin();
    depth.begin_step(QueuePart::running, queue_end);
    depth.forget();
    EXPECT_FALSE(depth.shown());
    depth.end_step(QueuePart::running, 3);
    depth.begin_step(QueuePart::waiting, queue_end);
    depth.end_step(QueuePart::waiting, 3);
    EXPECT_FALSE(depth.shown());
    EXPECT_FALSE(depth.is_going());
    EXPECT_TRUE(depth.is_doubtful());
}

TEST(CountedDepth, begins_again_after_a_step_that_did_not_end)
{
    CountedDepth depth;
    depth.begin();
    EXPECT_TRUE(depth.is_going());
    depth.begin_step(QueuePart::running, at(0, 5));
    EXPECT_FALSE(depth.is_going());
    depth.begin();
    EXPECT_TRUE(depth.is_going());
    EXPECT_EQ(depth.upto(QueuePart::running), queue_begin);
}

// A queue of few places, transactions that change it, become visible and tell in parts, one who counts, and one who
// commits what was prepared. Atomic step by atomic step in any order. As in shared/own_counts.cpp a transaction notes
// places while it is told that somebody counts, and only so many; else a row that moves leaves no more than that one
// did.
class World {
public:
    explicit World(unsigned seed) : random_(seed) {}

    void step()
    {
        switch (below(8)) {
        case 0:
            return count();
        case 1:
            return commit_prepared();
        default:
            return transact();
        }
    }

    // Everybody comes to an end, and the queue is counted as often as it is doubtful.
    void settle()
    {
        while (!transactions_.empty())
            for (std::size_t i = transactions_.size(); i-- > 0;)
                go_on(i);
        if (in_step_)
            count();
        int counts = 0;
        while (depth_.is_doubtful() && ++counts < 1000)
            count();
        ASSERT_LT(counts, 1000) << "a count never settles";
        ASSERT_TRUE(depth_.shown());
        EXPECT_EQ(depth_.shown()->waiting, size_of(QueuePart::waiting) + doubled_of(QueuePart::waiting));
        EXPECT_EQ(depth_.shown()->running, size_of(QueuePart::running) + doubled_of(QueuePart::running));
    }

private:
    using Row = std::pair<QueuePart, QueuePlace>;
    struct Change {
        Row row;
        int number;
        bool has_place;
        bool moved = false; // is the end of a move of which nothing but that is noted; the beginning stands before it
        bool in_snapshot = false; // of the step that came by its place
        bool in_last = false;     // and so in the last whole count
    };
    struct Transaction {
        std::vector<Change> changes;
        bool visible = false;
        bool large = false; // has more notes than are told in a turn
        unsigned steps = 0; // that had begun when it became visible
    };
    static constexpr std::size_t most_places = 4, most_in_turn = 3;

    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    std::int64_t size_of(QueuePart part) const
    {
        return std::count_if(rows_.begin(), rows_.end(), [&](const auto &row) { return row.first.first == part; });
    }
    std::int64_t doubled_of(QueuePart part) const { return doubled_[static_cast<std::size_t>(part)]; }

    bool is_free(const Row &row) const
    {
        return std::none_of(transactions_.begin(), transactions_.end(), [&](const Transaction &one) {
            return std::any_of(one.changes.begin(), one.changes.end(),
                               [&](const Change &change) { return change.row == row; });
        });
    }

    void transact()
    {
        if (transactions_.size() < 3 && below(3) == 0)
            transactions_.push_back({});
        if (!transactions_.empty())
            go_on(below(static_cast<unsigned>(transactions_.size())));
    }

    // Another row comes or goes; or all become visible; or one is told.
    void go_on(std::size_t number)
    {
        Transaction &one = transactions_[number];
        const Row row = any_row();
        if (!one.visible && below(3) != 0)
            below(2) == 0 ? move(one, row, any_row()) : change(one, row);
        else if (!one.visible)
            become_visible(one);
        else if (!one.changes.empty())
            tell_last(one);
        if (!one.visible || !one.changes.empty())
            return;
        if (one.large && steps_ != one.steps)
            depth_.doubt();
        transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(number));
    }

    Row any_row() { return {static_cast<QueuePart>(below(2)), at(static_cast<std::int16_t>(below(2)), below(6))}; }

    // Whether the transaction sees the row; nothing: another one is changing it.
    std::optional<bool> sees(const Transaction &one, const Row &row) const
    {
        std::optional<bool> own;
        for (const Change &change : one.changes)
            if (change.row == row)
                own = change.number > 0;
        return own || !is_free(row) ? own : std::optional(rows_.count(row) != 0);
    }
    bool wants_places(const Transaction &one) const { return counting_ && one.changes.size() < most_places; }

    void change(Transaction &one, const Row &row)
    {
        if (const std::optional<bool> there = sees(one, row))
            one.changes.push_back({row, *there ? -1 : 1, wants_places(one)});
    }

    // Within its part.
    void move(Transaction &one, const Row &from, Row to)
    {
        to.first = from.first;
        if (!sees(one, from).value_or(false) || sees(one, to).value_or(true))
            return;
        const bool has_place = wants_places(one);
        one.changes.push_back({from, -1, has_place});
        one.changes.push_back({to, 1, has_place, !has_place});
    }

    void become_visible(Transaction &one)
    {
        one.visible = true;
        one.large = one.changes.size() > most_in_turn;
        one.steps = steps_;
        for (const Change &change : one.changes)
            change.number > 0 ? static_cast<void>(rows_[change.row] = true)
                              : static_cast<void>(rows_.erase(change.row));
    }

    void tell_last(Transaction &one)
    {
        const auto next = [&] {
            const Change change = one.changes.back();
            one.changes.pop_back();
            return change;
        };
        const Change last = next();
        tell(last, last.moved ? 0 : last.number, one.large);
        if (last.moved)
            tell(next(), 0, one.large);
    }

    // What a snapshot showed already and is told as counted counts twice: the price that is known. Of it the model
    // keeps an account, so that all else is exact. For a large transaction it is not paid.
    void tell(const Change &change, int number, bool large)
    {
        const QueuePart part = change.row.first;
        const QueuePlace &upto = depth_.upto(part);
        const bool is_added = upto == queue_end || (change.has_place && change.row.second < upto);
        if (change.in_last && !large)
            doubled_[static_cast<std::size_t>(part)] += change.number;
        if (is_added && change.in_snapshot && !large)
            pending_[static_cast<std::size_t>(part)] += change.number;
        depth_.add(part, number, change.has_place ? std::optional(change.row.second) : std::nullopt);
    }

    void commit_prepared()
    {
        const Row row = {QueuePart::waiting, at(0, below(6))};
        if (!is_free(row) || below(4) != 0)
            return;
        rows_.count(row) != 0 ? static_cast<void>(rows_.erase(row)) : static_cast<void>(rows_[row] = true);
        depth_.doubt();
    }

    // The next thing that the one who counts does.
    void count()
    {
        if (in_step_) {
            in_step_ = false;
            depth_.end_step(part_, found_);
            if (!depth_.is_going())
                end_count();
            return;
        }
        if (!depth_.is_doubtful())
            return;
        counting_ = true;
        if (!depth_.is_going()) {
            depth_.begin();
            pending_ = {};
            each_change([](const Transaction &, Change &change) { change.in_snapshot = false; });
            return;
        }
        part_ = depth_.upto(QueuePart::running) == queue_end ? QueuePart::waiting : QueuePart::running;
        const QueuePlace from = depth_.upto(part_);
        const QueuePlace upto = below(3) == 0 ? queue_end : at(static_cast<std::int16_t>(below(2)), below(8));
        if (upto <= from)
            return;
        depth_.begin_step(part_, upto);
        ++steps_;
        in_step_ = true;
        take_snapshot(from, upto);
    }

    void end_count()
    {
        counting_ = depth_.is_doubtful();
        doubled_ = pending_;
        each_change([](const Transaction &, Change &change) { change.in_last = change.in_snapshot; });
    }

    template <class Each>
    void each_change(Each each)
    {
        for (Transaction &one : transactions_)
            for (Change &change : one.changes)
                each(one, change);
    }

    void take_snapshot(const QueuePlace &from, const QueuePlace &upto)
    {
        const auto is_in = [&](const Row &row) {
            return row.first == part_ && row.second >= from && row.second < upto;
        };
        found_ = std::count_if(rows_.begin(), rows_.end(), [&](const auto &row) { return is_in(row.first); });
        each_change([&](const Transaction &one, Change &change) {
            if (is_in(change.row))
                change.in_snapshot = one.visible;
        });
    }

    std::mt19937 random_;
    std::map<Row, bool> rows_; // that are visible
    std::vector<Transaction> transactions_;
    CountedDepth depth_;
    bool counting_ = false; // as sessions see it
    bool in_step_ = false;
    unsigned steps_ = 0;
    QueuePart part_{};
    std::int64_t found_ = 0;
    std::array<std::int64_t, 2> pending_ = {}, doubled_ = {};
};

TEST(CountedDepth, is_exact_however_a_count_and_transactions_interleave)
{
    for (unsigned seed = 0; seed < 2000; ++seed) {
        World world(seed);
        for (int round = 0; round < 4; ++round) {
            for (int i = 0; i < 200; ++i)
                world.step();
            world.settle();
            if (testing::Test::HasFailure()) {
                ADD_FAILURE() << "with seed " << seed;
                return;
            }
        }
    }
}

} // namespace
