#include "worker/statistics.hpp"

#include "shared/statistics.hpp"
#include "store/depth.hpp"
#include "store/owner.hpp"
#include "store/saved_statistics.hpp"

namespace worker {

namespace {

constexpr int slice_ms = 5;
// It rests so many times as long as a slice took: a twentieth of a processor at most, however often somebody makes the
// depths doubtful.
constexpr long rest_factor = 19;

Statistics *of_this_process = nullptr;

} // namespace

Statistics::Statistics(Chore chore) : chore_(chore) { of_this_process = this; }

// False: the queue could not be counted.
bool Statistics::count_depths(bool &more)
{
    // Before the look: a doubt that comes meanwhile is found by the next one.
    const std::uint64_t doubts = shared::statistics::count_doubts();
    if (doubts == doubts_)
        return true;
    const bool done = chore_.run([&] {
        store::AsOwnerOfJobs owner;
        more = store::depth::count_unknown(slice_ms);
    });
    if (done && !more)
        doubts_ = doubts;
    return done;
}

void Statistics::do_piece(Agenda &agenda)
{
    const pg::Moment began = pg::moment();
    bool more = false;
    if (shared::statistics::are_kept()) {
        loaded_ = loaded_ || chore_.run([] { store::saved_statistics::load(); });
        // What was counted is written down also while the queue cannot be counted.
        if (loaded_)
            (void)count_depths(more);
        if (loaded_ && pg::is_over(saved_at_, 1000L * settings::statistics_interval))
            save();
    }
    if (!chore_.turn().is_resting(pg::moment().microseconds)) // as after an error
        agenda.slice_done(ChoreKind::statistics, more, rest_factor * pg::milliseconds_since(began) * 1000,
                          pg::moment().microseconds);
}

void Statistics::save()
{
    if (!loaded_)
        return; // what was written would be written over
    std::span<const store::saved_statistics::Saved> saved;
    MemoryContext memory = CurrentMemoryContext;
    const bool done = chore_.run([&] {
        pg::InMemory long_lived(memory);
        // Somebody may have dropped it since the worker has looked.
        if (OidIsValid(get_extension_oid("jobs_ext", true)))
            saved = store::saved_statistics::save();
    });
    if (!done)
        return;
    store::saved_statistics::note_saved(saved);
    saved_at_ = pg::moment();
}

void save_statistics()
{
    if (of_this_process != nullptr && shared::statistics::are_kept())
        of_this_process->save();
}

} // namespace worker
