// The audit (store/audit.hpp) in slices of a few milliseconds, so that a whole pass takes jobs_ext.audit_interval.
// Where a pass is stands in shared memory: the next process of the database goes on there.
#pragma once

#include "store/audit.hpp"
#include "worker/chore.hpp"

namespace worker {

class Auditing {
public:
    Auditing(shared::Database &database, Chore chore) : database_(database), chore_(chore) {}

    // Looks at the next slice and mends what is wrong in it.
    void audit_slice();
    // Tells the agenda when that is to be.
    void set_time();

private:
    // What a slice came to, and where the next one begins.
    struct Slice {
        shared::AuditPlace end;
        bool is_built = true;
        int mended = 0;
        int left = 0; // faults that could not be mended: somebody holds the job, for example
    };

    shared::AuditPlace begin_slice();
    void look(Slice &slice);
    void walk(store::audit::Comparison &comparison, Slice &slice);
    void meet(store::audit::Comparison &comparison, const store::audit::Fault &fault, Slice &slice);
    void slice_failed(shared::AuditPlace start);
    bool is_news(const pg_uuid_t *job);
    void publish(const shared::AuditPlace &place, int faults);

    shared::Database &database_;
    Chore chore_;
    int tries_ = 0;          // with the slice that is next
    HTAB *logged_ = nullptr; // the jobs that this pass has logged
};

} // namespace worker
