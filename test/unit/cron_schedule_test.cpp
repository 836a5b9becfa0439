#include "logic/cron_schedule.hpp"

#include <ctime>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace {

using logic::Cron;
using logic::due_between;
using logic::Instant;
using logic::parse_cron;
using logic::plain_cron;

constexpr Instant minute = 60'000'000;
constexpr Instant day_length = 1440 * minute;
constexpr std::time_t epoch = 946'684'800; // 2000-01-01 in seconds of Unix

Instant at(const char *text)
{
    std::tm tm = {};
    EXPECT_NE(strptime(text, "%Y-%m-%d %H:%M:%S", &tm), nullptr) << text;
    return (timegm(&tm) - epoch) * 1'000'000;
}

std::string show(Instant instant)
{
    const std::time_t seconds = instant / 1'000'000 + epoch;
    std::tm tm = {};
    gmtime_r(&seconds, &tm);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a", &tm);
    return text;
}

std::string problem_of(std::string_view text)
{
    const auto problem = parse_cron(text).problem;
    if (!problem)
        return "none";
    return std::string(problem->field) + "|" + std::string(problem->part) + "|" + std::string(problem->what);
}

std::string next(std::string_view schedule, const char *from, bool both_days = false)
{
    const auto parsed = parse_cron(schedule);
    EXPECT_FALSE(parsed.problem) << schedule;
    const auto found = due_between(parsed.cron, at(from), at(from) + 36'600 * day_length, both_days);
    return found ? show(*found) : "never";
}

TEST(Cron, TakesWhatPgCronTakes)
{
    for (const char *good :
         {"* * * * *",     "*/5 * * * *",       "0 0 1 1 *",     "0-59/2 0,12 1-15,20 jan-mar,DEC mon-Fri",
          "59 23 31 12 7", "  5\t4  * * sun  ", "0 0 $ * *",     "@hourly",
          "@daily",        "@midnight",         "@weekly",       "@monthly",
          "@yearly",       "@annually",         "@reboot",       "@restart",
          "1 second",      "1 seconds",         "59 seconds",    "30 SECONDS",
          "30seconds",     " 30  seconds ",     "00 000 01 1 *", "1,1,1 * * * *",
          "0 0 * * 0-7"})
        EXPECT_EQ(problem_of(good), "none") << good;
}

TEST(Cron, SaysWhatIsWrong)
{
    const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "||it is empty"},
        {" \t", "||it is empty"},
        {"* * * *", "day of the week||is missing"},
        {"5", "hour||is missing"},
        {"* * * * * *", "|*|follows the five fields"},
        {"0 0 * * 1 # noon", "|# noon|follows the five fields"},
        {"60 * * * *", "minute|60|is not from 0 to 59"},
        {"-1 * * * *", "minute|-1|cannot be read"},
        {"* 24 * * *", "hour|24|is not from 0 to 23"},
        {"* * 0 * *", "day of the month|0|is not from 1 to 31"},
        {"* * 32 * *", "day of the month|32|is not from 1 to 31"},
        {"* * * 13 *", "month|13|is not from 1 to 12 or jan to dec"},
        {"* * * foo *", "month|foo|is not from 1 to 12 or jan to dec"},
        {"* * * january *", "month|january|is not from 1 to 12 or jan to dec"},
        {"* * * * 8", "day of the week|8|is not from 0 to 7 or sun to sat"},
        {"mon * * * *", "minute|mon|is not from 0 to 59"},
        {"99999999999999999999 * * * *", "minute|99999999999999999999|is not from 0 to 59"},
        {"5-1 * * * *", "minute|5-1|runs backwards"},
        {"* * * * fri-sun", "day of the week|fri-sun|runs backwards"},
        {"1-60 * * * *", "minute|60|is not from 0 to 59"},
        {"1- * * * *", "minute||ends too early"},
        {"1, * * * *", "minute||ends too early"},
        {",1 * * * *", "minute|,1|cannot be read"},
        {"1-5-7 * * * *", "minute|-7|cannot be read"},
        {"*5 * * * *", "minute|5|cannot be read"},
        {"*-5 * * * *", "minute|-5|cannot be read"},
        {"5/10 * * * *", "minute|/10|is a step without a range: write it as from-to/step"},
        {"*/0 * * * *", "minute|0|is not a step that fits"},
        {"*/60 * * * *", "minute|60|is not a step that fits"},
        {"*/ * * * *", "minute||is not a step that fits"},
        {"*/x * * * *", "minute|x|is not a step that fits"},
        {"0 0 $,1 * *", "day of the month|$,1|cannot be read"},
        {"0 0 1,$ * *", "day of the month|$|cannot be read"},
        {"0 $ * * *", "hour|$|cannot be read"},
        {"0\n0 * * *", "minute|\n0|cannot be read"},
        {"@often", "|@often|is not known"},
        {"@Hourly", "|@Hourly|is not known"},
        {"0 seconds", "|0 seconds|is not from 1 to 59 seconds"},
        {"60 seconds", "|60 seconds|is not from 1 to 59 seconds"},
        {"10 minutes", "hour|minutes|is not from 0 to 23"},
        {"seconds", "minute|seconds|is not from 0 to 59"},
    };
    for (const auto &c : cases)
        EXPECT_EQ(problem_of(c.text), c.problem) << c.text;
    EXPECT_EQ(problem_of(std::string(1000, '1')), "||it is longer than 999 bytes");
}

TEST(Cron, ShorthandsAreWrittenOut)
{
    EXPECT_EQ(plain_cron(" @yearly "), "0 0 1 1 *");
    EXPECT_EQ(plain_cron("@weekly"), "0 0 * * 0");
    EXPECT_EQ(plain_cron("@reboot"), "@reboot");
    EXPECT_EQ(plain_cron("\t*/5 * * * * "), "*/5 * * * *");
    for (const logic::CronShorthand &shorthand : logic::cron_shorthands)
        EXPECT_EQ(problem_of(shorthand.meaning), "none") << shorthand.name;
}

TEST(Cron, ComesDueInTheRightMinute)
{
    const struct {
        const char *schedule, *from, *due;
    } cases[] = {
        {"* * * * *", "2026-11-25 10:20:00", "2026-11-25 10:20:00 Wed"},
        {"* * * * *", "2026-11-25 10:20:01", "2026-11-25 10:21:00 Wed"},
        {"* * * * *", "2026-12-31 23:59:01", "2027-01-01 00:00:00 Fri"},
        {"*/5 * * * *", "2026-11-25 10:21:00", "2026-11-25 10:25:00 Wed"},
        {"3-59/20 8-18 * * *", "2026-11-25 18:44:00", "2026-11-26 08:03:00 Thu"},
        {"30 2 * * *", "2026-11-25 02:30:00", "2026-11-25 02:30:00 Wed"},
        {"30 2 * * *", "2026-11-25 02:30:01", "2026-11-26 02:30:00 Thu"},
        {"0 0 1 1 *", "2026-01-01 00:01:00", "2027-01-01 00:00:00 Fri"},
        {"0 0 31 * *", "2026-11-01 00:00:00", "2026-12-31 00:00:00 Thu"},
        {"0 0 29 2 *", "2026-11-25 00:00:00", "2028-02-29 00:00:00 Tue"},
        {"0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00 Fri"},
        {"0 0 30 2 *", "2026-11-25 00:00:00", "never"},
        {"0 0 31 4,6,9,11 *", "2026-11-25 00:00:00", "never"},
        {"0 0 * * 7", "2026-11-25 00:00:00", "2026-11-29 00:00:00 Sun"},
        {"0 0 * * sun", "2026-11-25 00:00:00", "2026-11-29 00:00:00 Sun"},
        {"0 0 * * mon-fri", "2026-11-28 00:00:00", "2026-11-30 00:00:00 Mon"},
        {"0 12 * jan,JUL *", "2026-07-31 12:01:00", "2027-01-01 12:00:00 Fri"},
        {"0 0 $ * *", "2026-02-01 00:00:00", "2026-02-28 00:00:00 Sat"},
        {"0 0 $ * *", "2028-02-28 00:01:00", "2028-02-29 00:00:00 Tue"},
        {"0 0 $ 2 1", "2026-02-01 00:00:00", "2026-02-02 00:00:00 Mon"},
        {"@monthly", "2026-11-25 00:00:00", "2026-12-01 00:00:00 Tue"},
        {"@weekly", "2026-11-25 00:00:00", "2026-11-29 00:00:00 Sun"},
        {"0 0 * * *", "1999-12-31 12:00:00", "2000-01-01 00:00:00 Sat"},
        {"0 6 * * *", "1969-12-31 12:00:00", "1970-01-01 06:00:00 Thu"},
        {"@reboot", "2026-11-25 00:00:00", "never"},
        {"5 seconds", "2026-11-25 00:00:00", "never"},
    };
    for (const auto &c : cases)
        EXPECT_EQ(next(c.schedule, c.from), c.due) << c.schedule << " from " << c.from;
}

// Friday the 13th is not what cron makes of it, unless one of the fields begins with a star or pg_cron is told so.
TEST(Cron, DaysCombineAsInVixiesCron)
{
    EXPECT_EQ(next("0 0 13 * 5", "2026-11-10 00:00:00"), "2026-11-13 00:00:00 Fri");
    EXPECT_EQ(next("0 0 13 * 5", "2026-11-14 00:00:00"), "2026-11-20 00:00:00 Fri");
    EXPECT_EQ(next("0 0 13 * 5", "2026-11-14 00:00:00", true), "2027-08-13 00:00:00 Fri");
    EXPECT_EQ(next("0 0 */13 * 5", "2026-11-10 00:00:00"), "2026-11-27 00:00:00 Fri");
    EXPECT_EQ(next("0 0 13 * */5", "2026-11-14 00:00:00"), "2026-12-13 00:00:00 Sun");
    EXPECT_EQ(next("0 0 1,*/13 * 5", "2026-11-28 00:00:00"), "2026-12-01 00:00:00 Tue");
    EXPECT_EQ(next("0 0 29 2 */6", "2026-11-28 00:00:00"), "2032-02-29 00:00:00 Sun");
    EXPECT_EQ(next("0 0 29 2 1", "2028-03-01 00:00:00", true), "2044-02-29 00:00:00 Mon");
}

TEST(Cron, EndsBeforeTheEnd)
{
    const Cron daily = parse_cron("30 2 * * *").cron;
    EXPECT_EQ(due_between(daily, at("2026-11-25 02:00:00"), at("2026-11-25 02:30:00")), std::nullopt);
    EXPECT_EQ(due_between(daily, at("2026-11-25 02:00:00"), at("2026-11-25 02:30:01")), at("2026-11-25 02:30:00"));
    EXPECT_EQ(due_between(daily, at("2026-11-25 02:31:00"), at("2026-11-26 00:00:00")), std::nullopt);
    EXPECT_EQ(due_between(daily, 5, 5), std::nullopt);
}

TEST(Cron, TheCalendarIsThatOfTheSystem)
{
    for (Instant day = -40000; day < 80000; ++day) {
        const std::time_t seconds = day * 86400 + epoch;
        std::tm tm = {};
        gmtime_r(&seconds, &tm);
        const logic::CivilDay civil = logic::civil_day(day);
        ASSERT_EQ(civil.month, tm.tm_mon + 1) << day;
        ASSERT_EQ(civil.day, tm.tm_mday) << day;
        ASSERT_EQ(civil.weekday, tm.tm_wday) << day;
    }
}

// Against walking through every minute, by the rules alone.
TEST(Cron, AgreesWithASlowWalk)
{
    std::mt19937 random(17);
    auto pick = [&](std::initializer_list<const char *> list) { return list.begin()[random() % list.size()]; };
    for (int round = 0; round < 300; ++round) {
        const std::string schedule = std::string(pick({"*", "0", "*/7", "13-40/9,59"})) + " " +
                                     pick({"*", "0", "3,21", "*/5"}) + " " + pick({"*", "1", "28-31", "*/10", "15"}) +
                                     " " + pick({"*", "2", "6-8", "*/5"}) + " " +
                                     pick({"*", "0", "mon-fri", "6,7", "*/3"});
        const Cron cron = parse_cron(schedule).cron;
        const Instant from = at("2026-01-01 00:00:00") + static_cast<Instant>(random() % 1'576'800) * minute +
                             static_cast<Instant>(random() % 2);
        Instant walk = (from + minute - 1) / minute * minute;
        const Instant end = walk + 400 * day_length;
        for (; walk < end; walk += minute) {
            const std::time_t seconds = walk / 1'000'000 + epoch;
            std::tm tm = {};
            gmtime_r(&seconds, &tm);
            const bool by_day = cron.days >> tm.tm_mday & 1, by_weekday = cron.weekdays >> tm.tm_wday & 1;
            const bool star = cron.any_day || cron.any_weekday;
            if ((cron.minutes >> tm.tm_min & 1) && (cron.hours >> tm.tm_hour & 1) &&
                (cron.months >> (tm.tm_mon + 1) & 1) && (star ? by_day && by_weekday : by_day || by_weekday))
                break;
        }
        const auto found = due_between(cron, from, end);
        ASSERT_EQ(found.value_or(end), walk)
            << schedule << " from " << show(from) << " gives " << show(found.value_or(end));
    }
}

static_assert(!parse_cron("*/5 8-18 * * mon-fri").problem);
static_assert(parse_cron("10 seconds").cron.seconds == 10);
static_assert(due_between(parse_cron("0 0 1 1 *").cron, 1, 400 * day_length) == 366 * day_length);

} // namespace
