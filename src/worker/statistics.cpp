#include "worker/statistics.hpp"

#include "shared/statistics.hpp"
#include "store/depth_count.hpp"
#include "store/owner.hpp"
#include "store/saved_statistics.hpp"

namespace worker {

namespace {

// How long the last writing may take: whoever ends the worker waits for it, DROP DATABASE five seconds at most.
constexpr int save_at_end_ms = 2000;

Statistics *of_this_process = nullptr;

} // namespace

Statistics::Statistics(Chore chore) : chore_(chore) { of_this_process = this; }

// Adds what is written down, unless that was done. False: it could not be read.
bool Statistics::load()
{
    Oid lanes = loaded_for_;
    const bool done = chore_.run([&] { lanes = store::saved_statistics::load(loaded_for_); });
    if (done)
        loaded_for_ = lanes;
    return done && OidIsValid(loaded_for_);
}

void Statistics::do_piece(Agenda &agenda)
{
    if (shared::statistics::are_kept() && load() && pg::is_over(saved_at_, 1000L * settings::statistics_interval))
        save();
    const std::int64_t now = pg::moment().microseconds;
    if (!chore_.turn().is_resting(now)) // as after an error
        agenda.slice_done(ChoreKind::statistics, false, 0, now);
}

void Statistics::save()
{
    if (!OidIsValid(loaded_for_))
        return; // what was written would be written over
    std::span<const store::saved_statistics::Saved> saved;
    MemoryContext memory = CurrentMemoryContext;
    const bool done = chore_.run([&] {
        pg::InMemory long_lived(memory);
        saved = store::saved_statistics::save(loaded_for_);
    });
    if (!done)
        return;
    store::saved_statistics::note_saved(saved);
    saved_at_ = pg::moment();
}

void save_at_end()
{
    if (of_this_process == nullptr || !shared::statistics::are_kept())
        return;
    // Instead of holding interrupts: a cancel still ends what lasts too long.
    pqsignal(SIGTERM, SIG_IGN);
    ProcDiePending = false;
    settings::longest_piece = std::min(settings::longest_piece, save_at_end_ms);
    of_this_process->save();
}

void Depths::do_piece(Agenda &agenda)
{
    using store::depth_count::Left;
    constexpr int slice_ms = 5;
    // It rests so many times as long as a slice took: a twentieth of a processor, however often somebody makes the
    // depths doubtful; a fifth while job_stats() has to read the queue instead.
    constexpr long rest_factor = 19, rest_factor_if_unknown = 4;
    const pg::Moment began = pg::moment();
    // Before the look: a doubt that comes meanwhile is found by the next one.
    const std::uint64_t doubts = shared::statistics::count_doubts();
    Left left = Left::nothing;
    if (doubts != doubts_) {
        const bool done = chore_.run([&] {
            store::AsOwnerOfJobs owner;
            left = store::depth_count::count_slice(slice_ms);
        });
        if (!done)
            return;
        if (left == Left::nothing)
            doubts_ = doubts;
    }
    const long factor = left == Left::unknown ? rest_factor_if_unknown : rest_factor;
    agenda.slice_done(ChoreKind::depths, left != Left::nothing,
                      factor * std::max<long>(pg::milliseconds_since(began), slice_ms) * logic::agenda::millisecond,
                      pg::moment().microseconds);
}

} // namespace worker
