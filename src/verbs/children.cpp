// job_await_children: a job gives up its worker until its children have ended.
//
// It ends the attempt as job_release does, and meets the same sessions (verbs/finish.hpp). Who ends the last child, or
// adds one more at the same time, is told in store/children.hpp: this call locks the row before it looks for children.
// Where another session is adding one, or has changed the row, it waits for nobody: the job is blocked, and the worker
// of the database, of whom it hears at commit, looks once more.
#include "store/children.hpp"

#include "call/answer.hpp"
#include "call/privileges.hpp"
#include "verbs/finish.hpp"

namespace verbs {

namespace {

// Whether the job has nothing to wait for. A caller without the lease must not lock the row: it is refused anyway.
bool is_no_child_left(store::Jobs &jobs, const job::Lease &lease)
{
    const std::optional<store::Row> job = jobs.find(&lease.job);
    return job && job::is_held(*job, lease) &&
           jobs.try_lock(store::children::lock_to_go_on) == store::Jobs::Lock::taken &&
           !store::children::is_any_left(&lease.job);
}

} // namespace

JOBS_FUNCTION(job_await_children)
{
    Outcome outcome = {.ending = Ending::await_children};
    outcome.lease = call::read_arguments<job::lease_fields>(fcinfo);
    pg::StatementScope scope("job_await_children()");
    store::Jobs jobs = store::Jobs::open(call::require_update);
    outcome.no_child_left = is_no_child_left(jobs, outcome.lease);
    store::Row row;
    if (auto refusal = finish_job(jobs, outcome, row))
        call::raise(*refusal);
    return call::answer(fcinfo, row);
}

} // namespace verbs
