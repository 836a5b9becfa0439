#include "worker/chore.hpp"

namespace worker {

namespace {

using logic::agenda::Outcome;

// By ChoreKind.
constexpr const char *texts[] = {
    "looking at the extension",
    "waking who waits for jobs",
    "notifying who listens",
    "setting aside what did not end",
    "reaping leases",
    "cancelling what expired",
    "queueing what waited for its children",
    "deleting what ended",
    "archiving",
    "making and dropping months of the archive",
    "erasing organisations",
    "looking what is due next",
    "auditing",
    "looking for jobs before the hints",
    "keeping statistics",
    "counting the queue",
};
static_assert(std::size(texts) == logic::agenda::chore_count);

// What an error means for the chore. 55P03 is somebody else's lock: no failure, however long it is held. Out of memory
// or files, an I/O error and an internal error may be this process's own: a new process may do better. All else lies in
// the database, and a new process would meet it as well.
Outcome outcome_of_error(const ErrorData *error)
{
    if (error == nullptr)
        return Outcome::done;
    if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
        return Outcome::locked;
    const int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
    return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR ||
                   category == ERRCODE_INTERNAL_ERROR
               ? Outcome::failed_in_process
               : Outcome::failed;
}

} // namespace

const char *Chore::doing() const { return texts[logic::agenda::position_of(kind_)]; }

bool Chore::may_begin()
{
    if (turn().is_resting(pg::moment().microseconds))
        return false;
    report_.show_doing(doing());
    // Twice: the cancel after longest_piece comes first, and leaves the piece as long again to be undone.
    shared::databases::piece_begins(2 * settings::longest_piece);
    return true;
}

bool Chore::has_passed(ErrorData *error)
{
    pg::forget_session();
    shared::databases::piece_ends();
    pgstat_report_stat(false);
    const Outcome outcome = outcome_of_error(error);
    if (outcome >= Outcome::failed)
        report_.failed(doing(), error);
    // A new process has fresh memory and caches. The launcher starts it later after each failure.
    if (agenda_.chore_ended(kind_, outcome, pg::moment().microseconds))
        proc_exit(1);
    if (error != nullptr)
        FreeErrorData(error);
    return outcome == Outcome::done;
}

} // namespace worker
