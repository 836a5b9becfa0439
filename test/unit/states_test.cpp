#include "logic/states.hpp"

#include <string>

#include <gtest/gtest.h>

namespace {

using logic::Mover;
using logic::Status;

constexpr Status all[] = {Status::pending, Status::queued,    Status::in_progress, Status::paused,
                          Status::blocked, Status::completed, Status::failed,      Status::cancelled};

// The table as the documentation has it: a row from, a column to, in the order of `all`. + anyone, u a direct UPDATE or
// a step that waits for a decision, r job_retry alone, c the wait for the children alone.
constexpr const char *legal_moves[] = {
    //           p q i s b c f x
    /* pending     */ "..++..++",
    /* queued      */ "..++..++",
    /* in_progress */ "+c.uc+++",
    /* paused      */ ".+.....+",
    /* blocked     */ ".c.....+",
    /* completed   */ "........",
    /* failed      */ ".r......",
    /* cancelled   */ ".r......",
};

TEST(States, LegalMovesAreThoseOfTheTable)
{
    for (std::size_t from = 0; from < std::size(all); ++from)
        for (std::size_t to = 0; to < std::size(all); ++to) {
            const char entry = legal_moves[from][to];
            EXPECT_EQ(logic::legal(all[from], all[to]), entry == '+')
                << logic::name_of_status(all[from]) << " to " << logic::name_of_status(all[to]);
            EXPECT_EQ(logic::legal(all[from], all[to], Mover::update), entry == '+' || entry == 'u')
                << logic::name_of_status(all[from]) << " to " << logic::name_of_status(all[to]) << " by an UPDATE";
            EXPECT_EQ(logic::legal(all[from], all[to], Mover::job_retry), entry == '+' || entry == 'r')
                << logic::name_of_status(all[from]) << " to " << logic::name_of_status(all[to]) << " by job_retry";
            EXPECT_EQ(logic::legal(all[from], all[to], Mover::children), entry == 'c')
                << logic::name_of_status(all[from]) << " to " << logic::name_of_status(all[to]) << " by its children";
            EXPECT_EQ(logic::legal(all[from], all[to], Mover::steps), entry == '+' || entry == 'u')
                << logic::name_of_status(all[from]) << " to " << logic::name_of_status(all[to]) << " by a step";
        }
}

TEST(States, NamesComeBack)
{
    for (Status status : all)
        EXPECT_EQ(logic::parse_status(logic::name_of_status(status)), status);
    EXPECT_EQ(logic::parse_status("running"), std::nullopt);
    EXPECT_EQ(logic::parse_status(""), std::nullopt);
    EXPECT_EQ(logic::parse_status("Pending"), std::nullopt);
}

TEST(States, AClientInsertsWhatWaitsOrIsHeldBack)
{
    for (Status status : all)
        EXPECT_EQ(logic::insertable(status), logic::waiting(status) || status == Status::paused)
            << logic::name_of_status(status);
    EXPECT_TRUE(logic::waiting(Status::pending));
    EXPECT_TRUE(logic::waiting(Status::queued));
    EXPECT_FALSE(logic::waiting(Status::in_progress));
    EXPECT_TRUE(logic::held(Status::blocked));
    EXPECT_FALSE(logic::waiting(Status::blocked));
    EXPECT_FALSE(logic::has_ended(Status::blocked));
}

TEST(States, AnUpdateBetweenTheTwoThatWaitMovesNothing)
{
    for (Status from : all)
        for (Status to : all)
            EXPECT_EQ(logic::stays(from, to), from == to || (logic::waiting(from) && logic::waiting(to)))
                << logic::name_of_status(from) << " to " << logic::name_of_status(to);
    EXPECT_TRUE(logic::stays(Status::pending, Status::queued));
    EXPECT_TRUE(logic::stays(Status::queued, Status::pending));
    EXPECT_FALSE(logic::stays(Status::paused, Status::queued));
    EXPECT_FALSE(logic::stays(Status::in_progress, Status::pending));
}

TEST(States, WhatHasEndedStaysUnlessTriedAgain)
{
    for (Status from : {Status::completed, Status::failed, Status::cancelled})
        for (Status to : all)
            for (Mover mover : {Mover::verb, Mover::update})
                EXPECT_FALSE(logic::legal(from, to, mover))
                    << logic::name_of_status(from) << " to " << logic::name_of_status(to);
}

} // namespace
