// Every interleaving of three actors who share a hint: each brings rows, claims them, or has the hint forgotten, and
// commits or rolls back. After each step every row that can be claimed stands at the hint or behind it, or somebody is
// about to lower the hint for it. With an order of steps that is wrong on purpose the walk finds rows that are lost.
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

#include "logic/hint.hpp"

namespace {

using namespace logic;

constexpr int actor_count = 3, row_count = 3;

Place place_of(int row) { return {row, id_of_all(0)}; }

// What is told to be wrong, to see that the walk would find it.
enum class Fault {
    none,
    count_after_snapshot,
    lower_before_commit,
    no_lower_at_rollback,
    keep_lowerings_when_forgotten
};

enum class Work : std::uint8_t { none, bring, claim, forget };
enum class Step : std::uint8_t { idle, written, ended, noted, seen, reading, read, raised };
enum class Outcome : std::uint8_t { open, committed, rolled_back };

// Transactions are numbered; 0 committed before all.
constexpr int nobody = -1;

struct Row {
    int brought_by = nobody, removed_by = nobody;
};

struct Actor {
    Work work = Work::none;
    Step step = Step::idle;
    int left = 0;              // transactions that it may still begin
    int transaction = 0;       // its own, if it has begun one
    int row = nobody;          // that it brought or took
    int at = 0;                // the next row that it reads
    int pinned = nobody;       // the first row that it saw and could not lock
    std::uint8_t snapshot = 0; // the transactions that had committed, a bit each
    LoweringCount since = 0;
};

struct World {
    std::array<Row, row_count> rows = {};
    std::array<Actor, actor_count> actors = {};
    std::array<Outcome, 8> transactions = {};
    int begun = 1;
    LoweringCount count = 0;
    HintKeeping<1, 2> hint; // so few that they overflow

    bool committed(int who) const { return who >= 0 && outcome(who) == Outcome::committed; }
    bool open(int who) const { return who >= 0 && outcome(who) == Outcome::open; }
    Outcome outcome(int who) const { return transactions[static_cast<std::size_t>(who)]; }
    Row &row(int number) { return rows[static_cast<std::size_t>(number)]; }
    const Row &row(int number) const { return rows[static_cast<std::size_t>(number)]; }

    void lower(int to)
    {
        ++count;
        hint.lower(0, place_of(to), count);
    }

    std::uint8_t snapshot() const
    {
        std::uint8_t all = 0;
        for (int i = 0; i < begun; ++i)
            all = static_cast<std::uint8_t>(all | (committed(i) ? 1 << i : 0));
        return all;
    }
};

bool shows(std::uint8_t snapshot, int transaction) { return transaction >= 0 && (snapshot >> transaction & 1); }

class Walk {
public:
    explicit Walk(Fault fault) : fault_(fault) {}

    // The number of states, all of which are right; nothing: a row was lost.
    std::optional<std::size_t> run()
    {
        World world;
        world.transactions[0] = Outcome::committed;
        world.row(1).brought_by = 0;
        world.hint.begin(0);
        for (Actor &actor : world.actors)
            actor.left = 1;
        visit(world);
        return lost_ ? std::nullopt : std::optional(seen_.size());
    }

private:
    void visit(const World &world)
    {
        std::string key(reinterpret_cast<const char *>(&world), sizeof(world));
        if (lost_ || !seen_.insert(std::move(key)).second)
            return;
        if (!is_right(world)) {
            lost_ = true;
            return;
        }
        for (std::size_t who = 0; who < actor_count; ++who)
            go_on(world, who);
    }

    static bool is_right(const World &world)
    {
        for (int i = 0; i < row_count; ++i) {
            const Row &row = world.row(i);
            const bool free = world.committed(row.brought_by) &&
                              (row.removed_by == nobody || world.outcome(row.removed_by) == Outcome::rolled_back);
            if (free && place_of(i) < world.hint.place(0) && !will_lower(world, i))
                return false;
        }
        return true;
    }

    // Whether somebody's transaction has ended, and it is about to lower the hint to the row or below.
    static bool will_lower(const World &world, int row)
    {
        return std::any_of(world.actors.begin(), world.actors.end(), [&](const Actor &actor) {
            const Outcome outcome = world.outcome(actor.transaction);
            return actor.step == Step::ended && actor.row != nobody && actor.row <= row &&
                   outcome == (actor.work == Work::bring ? Outcome::committed : Outcome::rolled_back);
        });
    }

    // All that the actor may do next, each in a world of its own.
    void go_on(const World &world, std::size_t who)
    {
        switch (world.actors[who].step) {
        case Step::idle:
            begin(world, who);
            break;
        case Step::written:
        case Step::raised:
            end(world, who, Outcome::committed);
            end(world, who, Outcome::rolled_back);
            break;
        case Step::ended:
            tell(world, who);
            break;
        default:
            read_on(world, who);
        }
    }

    static int begin_transaction(World &world, Actor &actor)
    {
        --actor.left;
        actor.transaction = world.begun++;
        world.transactions[static_cast<std::size_t>(actor.transaction)] = Outcome::open;
        return actor.transaction;
    }

    void begin(const World &world, std::size_t who)
    {
        if (world.actors[who].left == 0)
            return;
        for (int i = 0; i < row_count; ++i)
            if (world.row(i).brought_by == nobody) {
                World next = world;
                Actor &actor = next.actors[who];
                next.row(i).brought_by = begin_transaction(next, actor);
                actor.work = Work::bring;
                actor.row = i;
                actor.step = Step::written;
                if (fault_ == Fault::lower_before_commit)
                    next.lower(i);
                visit(next);
            }
        World next = world;
        Actor &actor = next.actors[who];
        begin_transaction(next, actor);
        actor.work = Work::claim;
        actor.step = Step::noted;
        actor.since = next.count;
        visit(next);
        forget(world, who);
    }

    void forget(const World &world, std::size_t who)
    {
        World next = world;
        --next.actors[who].left;
        // The wrong way takes no number of its own, so that a reader that is under way counts as a later one.
        next.hint.begin(fault_ == Fault::keep_lowerings_when_forgotten ? 0 : ++next.count);
        visit(next);
    }

    // A claim: notes the count, takes a snapshot, reads the hint, reads the rows one by one, raises the hint.
    void read_on(const World &world, std::size_t who)
    {
        World next = world;
        Actor &actor = next.actors[who];
        switch (actor.step) {
        case Step::noted:
            actor.snapshot = next.snapshot();
            actor.step = Step::seen;
            break;
        case Step::seen:
            if (fault_ == Fault::count_after_snapshot)
                actor.since = next.count;
            actor.at = 0;
            while (actor.at < row_count && place_of(actor.at) < next.hint.place(0))
                ++actor.at;
            actor.step = Step::reading;
            break;
        case Step::reading:
            look_at_row(world, who);
            return;
        default:
            raise(next, actor);
        }
        visit(next);
    }

    void look_at_row(const World &world, std::size_t who)
    {
        World next = world;
        Actor &actor = next.actors[who];
        if (actor.at == row_count) {
            actor.step = Step::read;
            visit(next);
            return;
        }
        Row &row = next.row(actor.at);
        const bool visible = shows(actor.snapshot, row.brought_by) && !shows(actor.snapshot, row.removed_by);
        const bool being_removed = next.open(row.removed_by) || next.committed(row.removed_by);
        if (!visible || being_removed) {
            ++actor.at;
            visit(next);
            return;
        }
        World locked = next; // by somebody who has its job and does not remove it
        locked.actors[who].pinned = actor.pinned == nobody ? actor.at : actor.pinned;
        ++locked.actors[who].at;
        visit(locked);
        row.removed_by = actor.transaction;
        actor.row = actor.at;
        actor.step = Step::read;
        visit(next);
    }

    static void raise(World &next, Actor &actor)
    {
        const Place to = actor.pinned != nobody ? place_of(actor.pinned)
                         : actor.row != nobody  ? next_place(place_of(actor.row))
                                                : after_all;
        next.hint.raise(0, to, actor.since);
        actor.step = Step::raised;
    }

    void end(const World &world, std::size_t who, Outcome outcome)
    {
        World next = world;
        Actor &actor = next.actors[who];
        next.transactions[static_cast<std::size_t>(actor.transaction)] = outcome;
        actor.step = Step::ended;
        visit(next);
    }

    void tell(const World &world, std::size_t who)
    {
        World next = world;
        Actor &actor = next.actors[who];
        const bool rolled_back = next.outcome(actor.transaction) == Outcome::rolled_back;
        const bool back = rolled_back && actor.work == Work::claim && fault_ != Fault::no_lower_at_rollback;
        const bool brought = !rolled_back && actor.work == Work::bring && fault_ != Fault::lower_before_commit;
        if (actor.row != nobody && (back || brought))
            next.lower(actor.row);
        const int left = actor.left;
        actor = {};
        actor.left = left;
        visit(next);
    }

    Fault fault_;
    bool lost_ = false;
    std::unordered_set<std::string> seen_;
};

} // namespace

TEST(HintModel, NoRowIsLostInAnyInterleaving)
{
    const std::optional<std::size_t> states = Walk(Fault::none).run();
    ASSERT_TRUE(states);
    EXPECT_GT(*states, 100'000u);
    RecordProperty("states", static_cast<int>(*states));
}

TEST(HintModel, EachFaultIsFound)
{
    for (const Fault fault : {Fault::count_after_snapshot, Fault::lower_before_commit, Fault::no_lower_at_rollback,
                              Fault::keep_lowerings_when_forgotten})
        EXPECT_FALSE(Walk(fault).run()) << static_cast<int>(fault);
}
