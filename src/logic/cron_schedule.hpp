// The schedules that pg_cron takes, and when they come due: so that job_schedule() refuses one that pg_cron would
// refuse or misread, and can say when the next run is. Pure C++, unit-tested.
//
// Stricter than pg_cron's own parser, which passes over what follows a field or the last one, and takes a range that
// runs backwards for an empty one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "logic/queue_key.hpp"

namespace logic {

struct Cron {
    enum class Kind : std::uint8_t { calendar, interval, at_start };
    Kind kind = Kind::calendar;
    // Bit n is set for the value n; of the days of the week, 0 is Sunday.
    std::uint64_t minutes = 0, hours = 0, days = 0, months = 0, weekdays = 0;
    // The field begins with `*`, also as `*/2`: what that means for days is in due_on().
    bool any_day = false, any_weekday = false;
    bool last_day = false; // of the month: `$`
    int seconds = 0;       // of an interval
};

// What is wrong with a text: `field "part" what`, of which field and part may be empty.
struct CronProblem {
    std::string_view field, part, what;
};

struct ParsedCron {
    Cron cron;
    std::optional<CronProblem> problem;
};

struct CronField {
    std::string_view name;
    int lowest, highest;
    std::string_view names; // three letters each, one after the other, from the lowest value on; empty: numbers only
    std::string_view out_of_range;
};

inline constexpr std::array<CronField, 5> cron_fields = {{
    {"minute", 0, 59, "", "is not from 0 to 59"},
    {"hour", 0, 23, "", "is not from 0 to 23"},
    {"day of the month", 1, 31, "", "is not from 1 to 31"},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", "is not from 1 to 12 or jan to dec"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat", "is not from 0 to 7 or sun to sat"},
}};

struct CronShorthand {
    std::string_view name, meaning;
};

inline constexpr std::array<CronShorthand, 7> cron_shorthands = {{
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
}};

inline constexpr std::size_t longest_cron = 999; // pg_cron's buffer

namespace cron_detail {

constexpr bool blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool digit(char c) { return c >= '0' && c <= '9'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool alphanumeric(char c) { return digit(c) || (lower(c) >= 'a' && lower(c) <= 'z'); }

constexpr std::string_view trimmed(std::string_view text)
{
    while (!text.empty() && blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && blank(text.back()))
        text.remove_suffix(1);
    return text;
}

// Takes the leading characters that are `wanted` off the text.
template <class Wanted>
constexpr std::string_view take_token(std::string_view &text, Wanted wanted)
{
    std::size_t size = 0;
    while (size < text.size() && wanted(text[size]))
        ++size;
    const std::string_view taken(text.data(), size);
    text.remove_prefix(size);
    return taken;
}

constexpr std::string_view take_word(std::string_view &text)
{
    const std::string_view word = take_token(text, [](char c) { return !blank(c); });
    take_token(text, blank);
    return word;
}

constexpr bool take_token(std::string_view &text, char c)
{
    if (text.empty() || text.front() != c)
        return false;
    text.remove_prefix(1);
    return true;
}

constexpr bool same_word(std::string_view a, std::string_view lower_case)
{
    if (a.size() != lower_case.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower_case[i])
            return false;
    return true;
}

// A number without sign. One that is too long for any field is as good as a large one: it stops growing before it
// overflows, and is refused as out of range by the caller.
constexpr std::optional<int> read_number(std::string_view text)
{
    if (text.empty())
        return std::nullopt;
    int value = 0;
    for (char c : text) {
        if (!digit(c))
            return std::nullopt;
        value = value > 10000 ? value : value * 10 + (c - '0');
    }
    return value;
}

constexpr std::optional<int> value_of(std::string_view text, const CronField &field)
{
    for (std::size_t i = 0; i + 3 <= field.names.size(); i += 3)
        if (same_word(text, std::string_view(field.names.data() + i, 3)))
            return field.lowest + static_cast<int>(i / 3);
    return read_number(text);
}

// One field: a list of values, ranges and steps, as in `1,5-9,10-30/5`. After the part that is wrong nothing is read.
class FieldParser {
public:
    constexpr FieldParser(const CronField &field, std::string_view text) : field_(field), rest_(text) {}

    constexpr std::optional<CronProblem> parse(std::uint64_t &values)
    {
        do
            if (auto problem = element(values))
                return problem;
        while (take_token(rest_, ','));
        if (!rest_.empty())
            return wrong(rest_, "cannot be read");
        return std::nullopt;
    }

private:
    constexpr CronProblem wrong(std::string_view part, std::string_view what) const
    {
        return {field_.name, part, what};
    }

    constexpr std::optional<CronProblem> element(std::uint64_t &values)
    {
        const char *begin = rest_.data();
        int from = field_.lowest, to = field_.highest, step = 1;
        if (!take_token(rest_, '*')) {
            if (auto problem = value(from))
                return problem;
            if (!take_token(rest_, '-')) {
                values |= std::uint64_t{1} << from;
                return rest_.empty() || rest_.front() != '/'
                           ? std::nullopt
                           : std::optional(wrong(rest_, "is a step without a range: write it as from-to/step"));
            }
            if (auto problem = value(to))
                return problem;
        }
        if (from > to)
            return wrong({begin, static_cast<std::size_t>(rest_.data() - begin)}, "runs backwards");
        if (take_token(rest_, '/')) {
            const std::string_view text = take_token(rest_, alphanumeric);
            step = read_number(text).value_or(0);
            if (step < 1 || step > field_.highest)
                return wrong(text, "is not a step that fits");
        }
        for (int i = from; i <= to; i += step)
            values |= std::uint64_t{1} << i;
        return std::nullopt;
    }

    constexpr std::optional<CronProblem> value(int &result)
    {
        const std::string_view text = take_token(rest_, alphanumeric);
        if (text.empty())
            return rest_.empty() ? wrong(rest_, "ends too early") : wrong(rest_, "cannot be read");
        const std::optional<int> value = value_of(text, field_);
        if (!value || *value < field_.lowest || *value > field_.highest)
            return wrong(text, field_.out_of_range);
        result = *value;
        return std::nullopt;
    }

    const CronField &field_;
    std::string_view rest_;
};

// The number of an interval, as in `10 seconds`; nothing: the text is no interval.
constexpr std::optional<int> interval(std::string_view text)
{
    const std::optional<int> count = read_number(take_token(text, digit));
    take_token(text, blank);
    if (!count || (!same_word(text, "second") && !same_word(text, "seconds")))
        return std::nullopt;
    return count;
}

constexpr std::optional<CronProblem> parse_fields(std::string_view text, Cron &cron)
{
    std::array<std::uint64_t *, 5> values = {&cron.minutes, &cron.hours, &cron.days, &cron.months, &cron.weekdays};
    for (std::size_t i = 0; i < cron_fields.size(); ++i) {
        const CronField &field = cron_fields[i];
        const std::string_view word = take_word(text);
        if (word.empty())
            return CronProblem{field.name, "", "is missing"};
        if (values[i] == &cron.days && word == "$") {
            cron.last_day = true;
            continue;
        }
        if (auto problem = FieldParser(field, word).parse(*values[i]))
            return problem;
        if (values[i] == &cron.days)
            cron.any_day = word.front() == '*';
        if (values[i] == &cron.weekdays)
            cron.any_weekday = word.front() == '*';
    }
    if (!text.empty())
        return CronProblem{"", text, "follows the five fields"};
    // Sunday may be written as 0 or 7; due_on() asks for 0.
    if ((cron.weekdays & (std::uint64_t{1} << 7)) != 0)
        cron.weekdays |= 1;
    return std::nullopt;
}

} // namespace cron_detail

// The same schedule without shorthands and blanks around it. pg_cron knows the shorthands too, but 1.6 never runs
// @yearly, and 1.4 writes past the end of its bit sets.
constexpr std::string_view plain_cron(std::string_view text)
{
    text = cron_detail::trimmed(text);
    for (const CronShorthand &shorthand : cron_shorthands)
        if (text == shorthand.name)
            return shorthand.meaning;
    return text;
}

// Reads a schedule. The texts of a problem are views of the argument or constants, so they live as long as the
// argument.
constexpr ParsedCron parse_cron(std::string_view text)
{
    ParsedCron parsed;
    text = plain_cron(text);
    if (text.empty())
        parsed.problem = CronProblem{"", "", "it is empty"};
    else if (text.size() > longest_cron)
        parsed.problem = CronProblem{"", "", "it is longer than 999 bytes"};
    else if (text == "@reboot" || text == "@restart")
        parsed.cron.kind = Cron::Kind::at_start;
    else if (text.front() == '@')
        parsed.problem = CronProblem{"", text, "is not known"};
    else if (const std::optional<int> seconds = cron_detail::interval(text)) {
        parsed.cron.kind = Cron::Kind::interval;
        parsed.cron.seconds = *seconds;
        if (*seconds < 1 || *seconds > 59)
            parsed.problem = CronProblem{"", text, "is not from 1 to 59 seconds"};
    } else
        parsed.problem = cron_detail::parse_fields(text, parsed.cron);
    return parsed;
}

struct CivilDay {
    int month, day, weekday;
};

// Month, day and day of the week of the day that begins `days` days after 2000-01-01, a Saturday. It is
// civil_from_days() of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms": years are counted from March, so that
// a leap day is the last of its year, and eras of 400 years have the same length. Remainders are made positive, since
// days before 2000 are negative.
constexpr CivilDay civil_day(std::int64_t days)
{
    constexpr std::int64_t since_march_0 = 730425, era = 146097; // days; an era is 400 years
    const std::int64_t of_era = ((days + since_march_0) % era + era) % era;
    const std::int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const auto of_year = static_cast<int>(of_era - (365 * year + year / 4 - year / 100));
    const int from_march = (5 * of_year + 2) / 153;
    return {from_march < 10 ? from_march + 3 : from_march - 9, of_year - (153 * from_march + 2) / 5 + 1,
            static_cast<int>(((days + 6) % 7 + 7) % 7)};
}

// Whether a calendar's schedule comes due on the day that begins `day` days after 2000-01-01. As in Vixie's cron: where
// neither field of days begins with `*`, one of them is enough, else both must match. `both_days`
// (cron.match_dom_and_dow): both must match always.
constexpr bool due_on(const Cron &cron, std::int64_t day, bool both_days)
{
    const CivilDay civil = civil_day(day);
    if ((cron.months >> civil.month & 1) == 0)
        return false;
    const bool last = cron.last_day && civil_day(day + 1).day == 1;
    const bool by_day = (cron.days >> civil.day & 1) != 0 || last;
    const bool by_weekday = (cron.weekdays >> civil.weekday & 1) != 0;
    return both_days || cron.any_day || cron.any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

// The first minute of a calendar's schedule that begins at `from` or later and before `until`, on a clock that is never
// put forward or back: the caller adds the offset of the time zone. Nothing for an interval or @reboot. Looks no
// further than 40 years: the 29th of February falls on each day of the week within them, also across a year like 2100
// that has none.
constexpr std::optional<Instant> due_between(const Cron &cron, Instant from, Instant until, bool both_days = false)
{
    constexpr Instant minute = 60'000'000, day_length = 1440 * minute;
    if (cron.kind != Cron::Kind::calendar)
        return std::nullopt;
    const Instant day = (from >= 0 ? from : from - day_length + 1) / day_length;
    Instant first = (from - day * day_length + minute - 1) / minute;
    for (Instant d = day; d <= day + 40LL * 366 && d * day_length < until; ++d, first = 0) {
        if (!due_on(cron, d, both_days))
            continue;
        for (Instant m = first; m < 1440; ++m)
            if ((cron.hours >> (m / 60) & 1) != 0 && (cron.minutes >> (m % 60) & 1) != 0) {
                const Instant found = d * day_length + m * minute;
                return found < until ? std::optional(found) : std::nullopt;
            }
    }
    return std::nullopt;
}

} // namespace logic
