// The audit (store/audit.hpp) as a chore of the worker: in slices of a few milliseconds, so that a whole pass takes
// jobs_ext.audit_interval and no single slice keeps sleepers waiting to be woken.
//
// How far a pass is stands in shared memory: the next process of the database goes on there. The worker of the database
// alone writes it, under the lock because the view jobs_ext.maintenance reads it, and reads it without.
//
// Sessions change jobs and keys while the audit looks. Under one snapshot they agree (store/audit.hpp says why), and
// what looks wrong is looked at again with the job locked before it is mended or reported. Between two slices rows may
// move to blocks that were walked already; the next pass meets them.
#pragma once

#include "store/audit.hpp"
#include "worker/chore.hpp"

namespace worker {

class Auditing {
public:
    Auditing(shared::Database &database, Chore chore) : database_(database), chore_(chore) {}

    // Looks at the next slice and mends what is wrong in it: WARNING XX001 (data_corrupted) for each job, a hundred in
    // a pass. Nothing is raised: a slice that fails is tried again, and left out after five times.
    void audit_slice();
    // Tells the agenda when the next slice is to be: where the pass would be if it took just jobs_ext.audit_interval.
    void set_next_time();

private:
    // What a slice came to, and where the next one begins.
    struct Slice {
        shared::AuditPlace end;
        bool is_built = true;
        int mended = 0;
        int left = 0; // faults that could not be mended: somebody holds the job, for example
    };

    shared::AuditPlace begin_slice();
    void compare_slice(Slice &slice);
    void walk_slice(store::audit::Comparison &comparison, Slice &slice);
    void mend_fault(store::audit::Comparison &comparison, const store::audit::Fault &fault, Slice &slice);
    void slice_failed(shared::AuditPlace start);
    bool is_news(const pg_uuid_t *job);
    void publish_slice(const shared::AuditPlace &place, int faults);

    shared::Database &database_;
    Chore chore_;
    int tries_ = 0;          // with the slice that is next
    HTAB *logged_ = nullptr; // the jobs that this pass has logged
};

} // namespace worker
