#include "verbs/refusal.hpp"

#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "settings.hpp"
#include "verbs/arguments.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Row;

constexpr char smaller[] = "Keep the data in a table or a bucket and put a reference to it here.";

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
enum class Archived { no, yes, unknown };

// Unknown: the archive can't be used as it is. That is no error here, since in a list it concerns one element.
Archived look_in_archive(const char *statement, pg::Parameter parameter)
{
    if (!store::find_table(store::ApiTable::jobs_archive))
        return Archived::no;
    const pg::OpenRelation archive = store::open_if_usable(store::ApiTable::jobs_archive, AccessShareLock);
    if (!archive)
        return Archived::unknown;
    if (pg_class_aclcheck(RelationGetRelid(archive), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        return Archived::no;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {parameter};
    return pg::run(statement, parameters, 1) > 0 ? Archived::yes : Archived::no;
}

// 42804: it may be there.
Refusal cannot_say(const char *which)
{
    return {ERRCODE_DATATYPE_MISMATCH,
            psprintf("job %s is not in jobs, and table \"jobs_archive\" was altered so that it cannot be used", which),
            nullptr, "job_get() says what is wrong with the table."};
}

Refusal not_in_jobs(const char *which, Archived archive)
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

std::optional<Refusal> too_large(pg::Nullable json, const char *argument)
{
    if (!json)
        return std::nullopt;
    const std::size_t size = VARSIZE_ANY_EXHDR(DatumGetJsonbP(json.value));
    if (size <= static_cast<std::size_t>(settings::max_payload) * 1024)
        return std::nullopt;
    return Refusal{sqlstate::too_large,
                   psprintf("%s is too large: %zu bytes, and jobs_ext.max_payload is %d kB", argument, size,
                            settings::max_payload),
                   nullptr, smaller};
}

std::optional<Refusal> too_large(const Row &row)
{
    constexpr std::size_t longest_row = 900 * 1024; // Realtime drops records over 1 MiB
    std::size_t size = 0;
    for (Column column :
         {Column::input_payload, Column::result, Column::error_message, Column::metadata, Column::progress})
        if (row.has(column))
            size += toast_raw_datum_size(row[column]);
    if (size <= longest_row)
        return std::nullopt;
    return Refusal{sqlstate::too_large,
                   psprintf("job %s would be too large: %zu bytes, and a row may have %zu", store::to_text(row.id()),
                            size, longest_row),
                   nullptr, smaller};
}

void raise(const Refusal &refusal)
{
    ereport(ERROR, (errcode(refusal.sqlstate), errmsg("%s", refusal.message),
                    refusal.detail != nullptr ? errdetail_internal("%s", refusal.detail) : 0,
                    refusal.hint != nullptr ? errhint("%s", refusal.hint) : 0));
}

Refusal missing(const pg_uuid_t *id)
{
    return not_in_jobs(store::to_text(id),
                       look_in_archive("select 1 from public.jobs_archive where id operator(pg_catalog.=) $1 limit 1",
                                       {UUIDOID, UUIDPGetDatum(id)}));
}

Refusal missing_key(const text *job_id)
{
    const Datum key = PointerGetDatum(job_id);
    return not_in_jobs(
        pg::text_excerpt(key),
        look_in_archive("select 1 from public.jobs_archive where job_id operator(pg_catalog.=) $1 limit 1",
                        {VARCHAROID, key}));
}

} // namespace verbs
