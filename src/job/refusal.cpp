#include "job/refusal.hpp"

#include "call/arguments.hpp"
#include "pg/excerpt.hpp"
#include "pg/plan.hpp"

namespace job {

namespace {

using store::Column;
using store::Row;

// As to_json() gives it, whatever the session's DateStyle is.
const char *time_as_json(const Row &job, Column column)
{
    return JsonEncodeDateTime(static_cast<char *>(palloc(MAXDATELEN + 1)), job[column], TIMESTAMPTZOID, nullptr);
}

// The detail of a refusal, as JSON: the reason, and where the job is in hand what became of it. `more`: of these times
// of the job's as well.
const char *detail(const char *reason, const Row *job, std::optional<Column> more = {})
{
    StringInfoData json;
    initStringInfo(&json);
    appendStringInfo(&json, "{\"reason\": \"%s\"", reason);
    if (job != nullptr) {
        const std::string_view status = job->text(Column::status);
        appendStringInfo(&json, ", \"status\": \"%s\", \"attempt\": %d, \"worker\": ", pg::excerpt(status),
                         job->number(Column::attempt));
        if (job->has(Column::worker))
            escape_json(&json, pg::excerpt(job->text(Column::worker), call::longest_worker));
        else
            appendStringInfoString(&json, "null");
        if (more)
            appendStringInfo(&json, ", \"%s\": \"%s\"", store::definition_of(*more).name, time_as_json(*job, *more));
    }
    appendStringInfoChar(&json, '}');
    return json.data;
}

// Whether the job is in the archive. `no` also where there is no archive or the caller may not read it, who then hears
// what it would hear of a job that never was. `unknown`: the archive can't be used as it is.
enum class Archived { no, yes, unknown };

// An archive that can't be used raises nothing here, because in a list it concerns one element and the others take
// effect.
Archived look_in_archive(const char *statement, pg::Parameter parameter)
{
    if (!store::find_table(store::ApiTable::jobs_archive))
        return Archived::no;
    // Open while the statement runs, so that it reads the table that was looked at.
    const pg::OpenRelation archive = store::open_if_usable(store::ApiTable::jobs_archive, AccessShareLock);
    if (!archive)
        return Archived::unknown;
    if (pg_class_aclcheck(RelationGetRelid(archive), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        return Archived::no;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {parameter};
    return pg::run_sql(statement, parameters, 1) > 0 ? Archived::yes : Archived::no;
}

// 42804, not PT404, because the job may be in the archive.
call::Refusal cannot_say(const char *which)
{
    return {ERRCODE_DATATYPE_MISMATCH,
            psprintf("job %s is not in jobs, and table \"jobs_archive\" was altered so that it cannot be used", which),
            nullptr, "job_get() says what is wrong with the table."};
}

call::Refusal not_in_jobs(const char *which, Archived archive)
{
    switch (archive) {
    case Archived::no:
        break;
    case Archived::yes:
        return archived(which);
    case Archived::unknown:
        return cannot_say(which);
    }
    return no_such_job(which);
}

} // namespace

call::Refusal no_such_job(const char *which)
{
    return {sqlstate::not_found, psprintf("no such job: %s", which), nullptr,
            "It was never there, was deleted, alone or with its organisation, or is not yours to see."};
}

call::Refusal lost_lease(const Row &job)
{
    const char *id = store::to_text(job.id());
    return {sqlstate::conflict, psprintf("the lease of job %s is lost", id), detail("lease_lost", &job),
            "Drop the work: the job ended, is paused or waits again, or was given to another worker."};
}

call::Refusal illegal_transition(const Row &job, logic::Status to, const char *hint)
{
    const std::string_view from = job.text(Column::status);
    return {sqlstate::conflict,
            psprintf("job %s is %s and cannot become %s", store::to_text(job.id()), pg::excerpt(from),
                     logic::name_of_status(to).data()),
            detail("illegal_transition", &job), hint};
}

call::Refusal unnamed_lease(const Row &job)
{
    return {sqlstate::conflict,
            psprintf("job %s is held by a worker, and the UPDATE names neither its lease_id nor its worker",
                     store::to_text(job.id())),
            detail("illegal_transition", &job),
            "Set lease_id or worker as well, to the value that the claim gave, in an UPDATE that ends the attempt or "
            "writes its result; or use the functions. job_cancel(force => true) ends anybody's."};
}

call::Refusal keeps_outcome(const Row &job, Column column)
{
    return {sqlstate::conflict,
            psprintf("job %s is %s and keeps its %s", store::to_text(job.id()), pg::excerpt(job.text(Column::status)),
                     store::definition_of(column).name),
            detail("illegal_transition", &job),
            "Another worker has ended it, or this one before. What is to be noted of it later belongs into metadata."};
}

call::Refusal not_claimable(const Row &job, NotNow why)
{
    const char *id = store::to_text(job.id());
    switch (why) {
    case NotNow::not_due:
        return {sqlstate::conflict,
                psprintf("job %s is not due before %s", id, timestamptz_to_str(*job.time(Column::run_at))),
                detail("illegal_transition", &job, Column::run_at),
                "Claim with job_claim(), or select jobs whose run_at is not later than now. To have it done sooner, "
                "update its run_at first."};
    case NotNow::expired:
        return {sqlstate::conflict,
                psprintf("job %s has expired, at %s", id, timestamptz_to_str(*job.time(Column::expires_at))),
                detail("illegal_transition", &job, Column::expires_at), "It is about to be cancelled."};
    case NotNow::queue_paused:
        return {sqlstate::conflict, psprintf("the queue is paused: job %s", id), detail("illegal_transition", &job),
                "job_resume_all() ends the pause; jobs_ext.maintenance says why there is one."};
    case NotNow::type_paused:
        break;
    }
    return {sqlstate::conflict,
            psprintf("jobs of type \"%s\" are paused: job %s", pg::excerpt(job.text(Column::job_type)), id),
            detail("illegal_transition", &job), "job_type_set(job_type, paused => false) ends the pause."};
}

call::Refusal own_ancestor(const Row &job, const pg_uuid_t *parent)
{
    return {sqlstate::conflict,
            psprintf("job %s cannot have the parent %s, since it would be its own ancestor", store::to_text(job.id()),
                     store::to_text(parent)),
            detail("cycle", &job), "A parent must not descend from its child."};
}

call::Refusal too_many_ancestors(const Row &job, const pg_uuid_t *parent, int most)
{
    return {sqlstate::conflict,
            psprintf("job %s cannot have the parent %s, which has more than %d ancestors", store::to_text(job.id()),
                     store::to_text(parent), most),
            detail("cycle", &job), "Unless jobs are nested so deep, the owner of jobs has made a cycle of parents."};
}

call::Refusal archived(const char *which)
{
    return {sqlstate::conflict, psprintf("job %s has ended and is archived", which), detail("archived", nullptr),
            "An archived job does not change any more; job_get shows it."};
}

call::Refusal key_taken(Column key, const char *value)
{
    return {sqlstate::conflict, psprintf("the %s \"%s\" is taken", store::definition_of(key).name, value),
            detail("key_taken", nullptr),
            key == Column::job_key ? "A job_key names one job of its organisation, of one job_type and job_id."
                                   : "A job_id names one job of one type and organisation."};
}

call::Refusal missing(const pg_uuid_t *id)
{
    return not_in_jobs(store::to_text(id),
                       look_in_archive("select 1 from public.jobs_archive where id operator(pg_catalog.=) $1 limit 1",
                                       {UUIDOID, UUIDPGetDatum(id)}));
}

call::Refusal missing_key(const text *job_id)
{
    const Datum key = PointerGetDatum(job_id);
    return not_in_jobs(
        pg::text_excerpt(key),
        look_in_archive("select 1 from public.jobs_archive where job_id operator(pg_catalog.=) $1 limit 1",
                        {VARCHAROID, key}));
}

} // namespace job
