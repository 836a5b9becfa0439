// How many jobs of one type stand in the queue, without reading it: what transactions tell when they have committed,
// added up on top of a count. Pure C++; test/unit/counted_depth_test.cpp walks many interleavings of a count and of
// transactions.
//
// A count of ten million rows takes minutes at a twentieth of a processor, so it is made in steps, each under a
// snapshot of its own. It goes through each part of the queue in the order of the index, and what decides for each row
// is whether it stands before the place up to which was counted when its change is told:
//   - it does: the step that came by here did not see the change, so the change is added to what was counted;
//   - it does not: a later step will see it, so nothing is added.
// For this to hold the one who counts first says up to where the next step goes, and then takes its snapshot; and a
// transaction tells after its changes are visible. So a change that the snapshot does not show is told later than that,
// and finds its place counted already: none is lost. One that had become visible, but was told only when the step had
// begun, counts twice. That takes a commit in the very microseconds in which a step begins, of a job among the few
// thousand of that step; the next count mends it. A large transaction, which tells for longer, makes the depth doubtful
// where a step began meanwhile.
//
// What a transaction tells without a place (it changed the job before anybody counted, or too many), be it only that
// rows have moved (the number 0), and what nobody tells (COMMIT PREPARED, a mended row), makes the depth doubtful: it
// is shown all the same, and counted once more. A count that is doubted meanwhile is not thrown away: what it is wrong
// by is what came while it went on, which is less than what the depth before it was wrong by, and another one follows.
// So a queue to which somebody commits prepared transactions all day long has a depth that is never older than the last
// count. Where the rows of the queue were written anew or removed at once, what was told means nothing any more
// (forget()).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include "logic/hint.hpp"

namespace logic {

// The rows of a type stand in two parts of the queue: of those that run in lane 0, of those that wait in its own.
enum class QueuePart : std::uint8_t { running, waiting };

// Where a row stands in its part.
struct QueuePlace {
    std::int16_t rank;
    Place place;

    friend constexpr auto operator<=>(const QueuePlace &, const QueuePlace &) = default;
};
inline constexpr QueuePlace queue_begin = {std::numeric_limits<std::int16_t>::min(), before_all};
inline constexpr QueuePlace queue_end = {std::numeric_limits<std::int16_t>::max(), after_all};

struct Depth {
    std::int64_t waiting, running;
};

class CountedDepth {
public:
    // Of a part so many rows more, or fewer, of which the changes are visible now. Nothing for the place: nobody knows.
    constexpr void add(QueuePart part, int number, const std::optional<QueuePlace> &at)
    {
        shown_[of(part)] += number;
        const QueuePlace &upto = upto_[of(part)];
        if (!is_going_ || upto == queue_begin)
            return;
        if (upto == queue_end || (at && *at < upto))
            counted_[of(part)] += number;
        else if (!at)
            doubt();
    }

    // Something changed that nobody tells; all did.
    constexpr void doubt() { ++doubts_; }
    constexpr void forget()
    {
        doubt();
        is_known_ = is_going_ = false;
    }

    // Nothing: it was not counted yet.
    constexpr std::optional<Depth> shown() const
    {
        return is_known_ ? std::optional(Depth{shown_[of(QueuePart::waiting)], shown_[of(QueuePart::running)]})
                         : std::nullopt;
    }
    constexpr bool is_doubtful() const { return !is_known_ || doubts_ != settled_; }

    // A count: begin() once; for each part steps, each begin_step(), then the snapshot, then end_step(), until upto()
    // is queue_end. A step that did not end, because of an error, spoils the count: begin() again.
    constexpr bool is_going() const { return is_going_ && !is_in_step_; }
    constexpr const QueuePlace &upto(QueuePart part) const { return upto_[of(part)]; }
    constexpr void begin()
    {
        is_going_ = true;
        is_in_step_ = false;
        counted_ = {};
        upto_.fill(queue_begin);
        doubts_at_begin_ = doubts_;
    }
    constexpr void begin_step(QueuePart part, const QueuePlace &upto)
    {
        is_in_step_ = true;
        upto_[of(part)] = upto;
    }
    constexpr void end_step(QueuePart part, std::int64_t found)
    {
        is_in_step_ = false;
        if (!is_going_)
            return; // forgotten meanwhile
        counted_[of(part)] += found;
        if (upto_[0] != queue_end || upto_[1] != queue_end)
            return;
        is_going_ = false;
        is_known_ = true;
        shown_ = counted_;
        settled_ = doubts_at_begin_;
    }

private:
    static constexpr std::size_t of(QueuePart part) { return static_cast<std::size_t>(part); }

    std::array<std::int64_t, 2> shown_ = {}, counted_ = {}; // by part
    std::array<QueuePlace, 2> upto_ = {queue_begin, queue_begin};
    std::uint32_t doubts_ = 0, doubts_at_begin_ = 0;
    std::uint32_t settled_ = 0; // the doubts that the last whole count has settled
    bool is_known_ = false, is_going_ = false, is_in_step_ = false;
};

} // namespace logic
