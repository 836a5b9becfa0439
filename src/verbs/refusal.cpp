#include "verbs/refusal.hpp"

#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "verbs/arguments.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Row;

const char *detail(const char *reason, const Row *job)
{
    StringInfoData json;
    initStringInfo(&json);
    appendStringInfo(&json, "{\"reason\": \"%s\"", reason);
    if (job != nullptr) {
        const std::string_view status = job->text(Column::status);
        appendStringInfo(&json, ", \"status\": \"%s\", \"attempt\": %d, \"worker\": ", pg::excerpt(status),
                         job->number(Column::attempt));
        if (job->has(Column::worker))
            escape_json(&json, pg::excerpt(job->text(Column::worker), longest_worker));
        else
            appendStringInfoString(&json, "null");
    }
    appendStringInfoChar(&json, '}');
    return json.data;
}

// Where the archive is missing or can't be used, it holds nothing: whoever asked learns that there is no such job.
bool in_archive(const char *statement, pg::Parameter parameter)
{
    const pg::OpenRelation archive = store::open_if_usable(store::ApiTable::jobs_archive, AccessShareLock);
    if (!archive || pg_class_aclcheck(RelationGetRelid(archive), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        return false;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {parameter};
    return pg::run(statement, parameters, 1) > 0;
}

bool in_archive(const pg_uuid_t *id)
{
    return in_archive("select 1 from public.jobs_archive where id operator(pg_catalog.=) $1 limit 1",
                      {UUIDOID, UUIDPGetDatum(id)});
}

} // namespace

Refusal no_such_job(const char *which)
{
    return {sqlstate::not_found, psprintf("no such job: %s", which), nullptr,
            "It was never there, was deleted, or is not yours to see."};
}

Refusal lost_lease(const Row &job)
{
    const char *id = store::to_text(job.id());
    return {sqlstate::conflict, psprintf("the lease of job %s is lost", id), detail("lease_lost", &job),
            "Drop the work: the job ended, or was given to another worker."};
}

Refusal illegal_transition(const Row &job, logic::Status to, const char *hint)
{
    const std::string_view from = job.text(Column::status);
    return {sqlstate::conflict,
            psprintf("job %s is %s and cannot become %s", store::to_text(job.id()), pg::excerpt(from),
                     logic::name(to).data()),
            detail("illegal_transition", &job), hint};
}

Refusal archived(const char *which)
{
    return {sqlstate::conflict, psprintf("job %s has ended and is archived", which), detail("archived", nullptr),
            "An archived job does not change any more; job_get shows it."};
}

Refusal key_taken(const char *job_id)
{
    return {sqlstate::conflict, psprintf("the job_id \"%s\" is taken", job_id), detail("key_taken", nullptr),
            "A job_id names one job of one type and organisation."};
}

void raise(const Refusal &refusal)
{
    ereport(ERROR, (errcode(refusal.sqlstate), errmsg("%s", refusal.message),
                    refusal.detail != nullptr ? errdetail_internal("%s", refusal.detail) : 0,
                    refusal.hint != nullptr ? errhint("%s", refusal.hint) : 0));
}

Refusal missing(const pg_uuid_t *id)
{
    const char *which = store::to_text(id);
    return in_archive(id) ? archived(which) : no_such_job(which);
}

Refusal missing_key(const text *job_id)
{
    const Datum key = PointerGetDatum(job_id);
    const char *which = pg::text_excerpt(key);
    const bool there = in_archive("select 1 from public.jobs_archive where job_id operator(pg_catalog.=) $1 limit 1",
                                  {VARCHAROID, key});
    return there ? archived(which) : no_such_job(which);
}

} // namespace verbs
