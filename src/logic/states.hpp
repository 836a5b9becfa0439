// The states of a job and the legal moves between them. Pure C++, unit-tested.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace logic {

enum class Status : std::uint8_t { pending, queued, in_progress, paused, completed, failed, cancelled };

inline constexpr std::array<std::string_view, 7> status_names = {"pending",   "queued", "in_progress", "paused",
                                                                 "completed", "failed", "cancelled"};

constexpr std::string_view name_of_status(Status status) { return status_names[static_cast<std::size_t>(status)]; }

constexpr std::optional<Status> parse_status(std::string_view text)
{
    for (std::size_t i = 0; i < status_names.size(); ++i)
        if (status_names[i] == text)
            return static_cast<Status>(i);
    return std::nullopt;
}

// Claimable as soon as it is due.
constexpr bool waiting(Status status) { return status == Status::pending || status == Status::queued; }

// For good, unless job_retry brings it back.
constexpr bool has_ended(Status status)
{
    return status == Status::completed || status == Status::failed || status == Status::cancelled;
}

// Who asks for a move: a verb or a direct UPDATE, or job_retry, which alone brings an ended job back.
enum class Mover : std::uint8_t { anyone, job_retry };

constexpr bool legal(Status from, Status to, Mover mover = Mover::anyone)
{
    switch (from) {
    case Status::pending:
    case Status::queued:
        return to == Status::in_progress || to == Status::paused || to == Status::cancelled || to == Status::failed;
    case Status::in_progress:
        return to == Status::completed || to == Status::failed || to == Status::pending || to == Status::cancelled;
    case Status::paused:
        return to == Status::queued || to == Status::cancelled;
    case Status::failed:
    case Status::cancelled:
        return to == Status::queued && mover == Mover::job_retry;
    case Status::completed:
        return false;
    }
    return false;
}

// What a client may insert. The table's owner may insert any state (a restore, a migration).
constexpr bool insertable(Status status) { return waiting(status) || status == Status::paused; }

} // namespace logic
