#include "worker/auditing.hpp"

#include <algorithm>

#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "store/owner.hpp"
#include "upkeep/check.hpp"

namespace worker {

namespace {

using shared::AuditPlace;
using store::audit::Comparison;
using store::audit::Fault;
using store::audit::Mended;
using store::audit::part_count;

// A slice ends after so many blocks or milliseconds, whichever comes first; the clock is read once in two blocks.
constexpr BlockNumber most_blocks = 16, blocks_at_once = 2;
constexpr int slice_ms = 5;
// The audit rests at least ten times as long as a slice took: a tenth of a processor at most, also where the interval
// is too short for the size of the tables.
constexpr long rest_factor = 10;
// So often a slice is tried that fails, or in which a fault cannot be mended since somebody holds the job. Then the
// pass goes on: one block that cannot be read must not keep the audit from all others.
constexpr int most_tries = 5;
constexpr long again_ms = 1000;
// Jobs that a pass writes to the log: a fault in all of a million jobs would fill the disk. All are counted.
constexpr long most_logged = 100;

// Whether no pass is under way: none has begun yet, or the last one is at the end of its last part.
bool is_slice_over(const AuditPlace &pass) { return !pass.began.is_set() || pass.part == part_count; }

} // namespace

// A slice is due when the time since the pass began is the share of the interval that `done` is of the whole. So a new
// pass, for which `done` is 1 until it begins, comes one interval after the last one began. A pass that is late does
// slice after slice until it has caught up, with the rests of rest_factor between.
void Auditing::set_next_time()
{
    const AuditPlace &place = database_.audit;
    const double interval = static_cast<double>(settings::audit_interval) * USECS_PER_SEC;
    chore_.turn().opens = settings::audit_interval < 0
                              ? logic::agenda::never
                              : (place.began + static_cast<std::int64_t>(interval * place.done)).microseconds;
}

// Where the next slice begins: a new pass, if the one before is over. What that one has logged may be logged anew then.
AuditPlace Auditing::begin_slice()
{
    const AuditPlace &place = database_.audit; // this process alone writes to it
    const bool is_new = is_slice_over(place);
    if (is_new && logged_ != nullptr) {
        hash_destroy(logged_);
        logged_ = nullptr;
    }
    return is_new ? AuditPlace{pg::moment()} : place;
}

// Whether the job was not logged in this pass. A job that has a fault in several tables is logged once.
bool Auditing::is_news(const pg_uuid_t *job)
{
    if (logged_ == nullptr) {
        HASHCTL control = {};
        control.keysize = control.entrysize = sizeof(pg_uuid_t);
        // It outlives the transaction of the slice, which may be undone after its warnings were written.
        control.hcxt = TopMemoryContext;
        logged_ = hash_create("jobs_ext audit", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    bool known = hash_search(logged_, job, HASH_FIND, nullptr) != nullptr;
    if (known || hash_get_num_entries(logged_) >= most_logged)
        return false;
    hash_search(logged_, job, HASH_ENTER, &known);
    return true;
}

// Mends a fault, after a second look with the job locked. `gone`: a session has changed the job in between, and nothing
// is wrong any more. `busy`: a session holds the job, or mending failed; the slice is tried again.
void Auditing::mend_fault(Comparison &comparison, const Fault &fault, Slice &slice)
{
    const Mended mended = upkeep::try_to_mend(fault);
    if (mended == Mended::gone)
        return;
    if (is_news(fault.job))
        ereport(WARNING, (errcode(ERRCODE_DATA_CORRUPTED),
                          errmsg("jobs_ext: job %s: %s", store::to_text(fault.job), comparison.describe(fault)),
                          errdetail(mended == Mended::yes ? "It was put right." : "It could not be put right yet."),
                          errhint("This is a defect of jobs_ext: please report it.")));
    ++(mended == Mended::yes ? slice.mended : slice.left);
}

// Walks from the beginning of the slice until that is long enough. Parts (`jobs`, then each derived table) may have
// become shorter since the last slice, by VACUUM or TRUNCATE: a place behind the end of its part goes on with the next
// part.
void Auditing::walk_slice(Comparison &comparison, Slice &slice)
{
    BlockNumber blocks[part_count], all = 0, before = 0;
    for (int part = 0; part < part_count; ++part)
        all += blocks[part] = comparison.blocks(part);
    AuditPlace &place = slice.end;
    const auto leave_ended_parts = [&] {
        for (; place.part < part_count && place.block >= blocks[place.part]; ++place.part)
            place.block = 0;
    };
    const pg::Moment began = pg::moment();
    BlockNumber walked = 0;
    leave_ended_parts();
    while (place.part < part_count && walked < most_blocks && !pg::is_over(began, slice_ms)) {
        comparison.walk(place.part, place.block, blocks_at_once,
                        [&](const Fault &fault) { mend_fault(comparison, fault, slice); });
        place.block += blocks_at_once;
        walked += blocks_at_once;
        leave_ended_parts();
    }
    for (int part = 0; part < place.part; ++part)
        before += blocks[part];
    place.done = all == 0 ? 1 : std::min(1.0, static_cast<double>(before + place.block) / all);
}

// One slice, inside its chore's transaction, as the owner of `jobs`. Where the tables do not count as built there is
// nothing to compare with, and the next writer builds them.
void Auditing::compare_slice(Slice &slice)
{
    store::AsOwnerOfJobs owner;
    pg::StatementScope scope("jobs_ext.check()");
    Comparison comparison;
    slice.is_built = comparison.is_built();
    if (slice.is_built)
        walk_slice(comparison, slice);
}

// Puts on record where the pass is and how many faults it met. Under the lock, because the view reads these together.
void Auditing::publish_slice(const AuditPlace &place, int faults)
{
    shared::databases::Lock lock;
    database_.audit = place;
    database_.tally[logic::Count::audit_faults] += faults;
    if (is_slice_over(place))
        database_.audited_at = GetCurrentTimestamp();
    set_next_time();
}

void Auditing::audit_slice()
{
    const AuditPlace start = begin_slice();
    const pg::Moment began = pg::moment();
    Slice slice = {start};
    if (!chore_.run([&] { compare_slice(slice); })) {
        slice_failed(start);
        return;
    }
    // Once more from its beginning: faults that are mended by then are not met again.
    if (!slice.is_built || (slice.left > 0 && ++tries_ < most_tries)) {
        publish_slice(start, slice.mended);
        chore_.rest_for(again_ms);
        return;
    }
    tries_ = 0;
    publish_slice(slice.end, slice.mended + slice.left);
    chore_.rest_for(rest_factor * pg::milliseconds_since(began));
}

// A slice failed and was undone. The chore rests as after any failure. A slice that fails each time is left out,
// whatever it is in it; waiting for a locked table is not a failure, and does not count.
void Auditing::slice_failed(AuditPlace start)
{
    if (chore_.turn().failures > 0 && ++tries_ == most_tries) {
        tries_ = 0;
        start.block += most_blocks;
    }
    publish_slice(start, 0);
}

} // namespace worker
