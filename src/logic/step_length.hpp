// How many pieces of work to put into a step that nothing interrupts, while a piece costs a microsecond or ten thousand
// of them: as many as the last step says can be done in the time, at most twice as many as that had. Pure C++;
// test/unit/step_length_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

namespace logic {

class StepLength {
public:
    constexpr StepLength(std::int64_t first, std::int64_t most, std::int64_t microseconds)
        : pieces_(first), most_(most), microseconds_(microseconds)
    {
    }

    constexpr int pieces() const { return static_cast<int>(pieces_); }
    // So long took a step of pieces().
    constexpr void took(std::int64_t microseconds)
    {
        const std::int64_t in_time = pieces_ * microseconds_ / std::max<std::int64_t>(microseconds, 1);
        pieces_ = std::clamp<std::int64_t>(in_time, 1, std::min(pieces_ * 2, most_));
    }

private:
    std::int64_t pieces_, most_, microseconds_;
};

} // namespace logic
