#include "schedules/definition.hpp"

#include <algorithm>

#include "call/arguments.hpp"
#include "pg/excerpt.hpp"
#include "pg/sqlstate.hpp"
#include "pg/subtransaction.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"

namespace schedules {

namespace {

constexpr char cron_prefix[] = "jobs_ext: ";
constexpr char cron_command_end[] = "$jobs_ext$";

// pg_cron before 1.5 keeps names in a column of type name, and would cut a longer one without a word.
constexpr std::size_t longest_name = NAMEDATALEN - 1 - (sizeof(cron_prefix) - 1);

// The parameters of job_enqueue that mean the same at each run.
constexpr std::string_view job_options[] = {"max_retries",   "retry_delay_ms", "job_category", "organisation_id",
                                            "restaurant_id", "created_by",     "metadata"};

constexpr char known_options[] =
    "The options are max_retries, retry_delay_ms, job_category, organisation_id, restaurant_id, created_by, metadata,"
    " expires_in and pile_up.";

struct Part {
    const char *name;
    Oid type;
    pg::Nullable Definition::*member;
};

constexpr Part parts[] = {
    {"name", TEXTOID, &Definition::name},
    {"job_type", TEXTOID, &Definition::job_type},
    {"input_payload", JSONBOID, &Definition::input_payload},
    {"priority", INT4OID, &Definition::priority},
    {"options", JSONBOID, &Definition::options},
};

bool read_flag(const JsonbValue &value, const char *option)
{
    if (value.type != jbvBool && value.type != jbvNull)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("option \"%s\" must be true or false", option)));
    return value.type == jbvBool && value.val.boolean;
}

void read_option(Recurring &schedule, const pg::JsonMember &option)
{
    if (option.key == "pile_up")
        schedule.pile_up = read_flag(option.value, "pile_up");
    else if (option.key == "expires_in")
        schedule.expires_in = call::positive_span(pg::sql_value(option.value, INTERVALOID, "expires_in"), "expires_in");
    else if (std::find(std::begin(job_options), std::end(job_options), option.key) == std::end(job_options) ||
             !job::set_field(schedule.job, option))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown option \"%s\"", pg::excerpt(option.key)),
                        errhint("%s", known_options)));
}

void check_name(pg::Nullable name)
{
    call::require_value(name, "name");
    call::check_length(name, longest_name, "name");
    const std::size_t size = VARSIZE_ANY_EXHDR(DatumGetTextPP(name.value));
    if (size > longest_name)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("name must have at most %zu bytes: it has %zu", longest_name, size)));
}

// Dollar quotes end at a dollar sign: in JSON it can be written without one, and stands in strings alone.
void append_without_dollar(StringInfo to, const char *json)
{
    for (; *json != '\0'; ++json)
        if (*json == '$')
            appendStringInfoString(to, "\\u0024");
        else
            appendStringInfoCharMacro(to, *json);
}

Datum parse_json(const char *text) { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text)); }

} // namespace

Recurring recurring(const Definition &given)
{
    Recurring schedule = {};
    check_name(given.name);
    schedule.name = given.name.value;
    schedule.job.job_type = given.job_type;
    schedule.job.input_payload = given.input_payload;
    schedule.job.priority = given.priority;
    if (given.options) {
        call::check_object(given.options, "options");
        pg::each_member(&DatumGetJsonbP(given.options.value)->root,
                        [&](const pg::JsonMember &option) { read_option(schedule, option); });
    }
    call::check_object(schedule.job.metadata, "metadata");
    return schedule;
}

store::Row make_run(store::Jobs &jobs, const Recurring &schedule)
{
    job::NewJob job = schedule.job;
    if (schedule.expires_in)
        job.expires_at = TimestampTzGetDatum(settings::now() + *schedule.expires_in);
    StringInfoData mark;
    initStringInfo(&mark);
    appendStringInfoString(&mark, "{\"schedule\": ");
    escape_json(&mark, TextDatumGetCString(schedule.name));
    appendStringInfoChar(&mark, '}');
    const Datum own = parse_json(mark.data);
    job.metadata = job.metadata ? DirectFunctionCall2(jsonb_concat, job.metadata.value, own) : own;
    const TimestampTz now = settings::now();
    return job::make_row(jobs, job, now, pg::time_ordered_uuid(now));
}

Datum cron_name(Datum name) { return CStringGetTextDatum(psprintf("%s%s", cron_prefix, TextDatumGetCString(name))); }

Datum cron_command(const Definition &definition)
{
    StringInfoData json, command;
    initStringInfo(&json);
    for (const Part &part : parts) {
        const pg::Nullable value = definition.*part.member;
        if (!value)
            continue;
        appendStringInfo(&json, "%s\"%s\": ", json.len == 0 ? "{" : ", ", part.name);
        if (part.type == TEXTOID)
            escape_json(&json, TextDatumGetCString(value.value));
        else if (part.type == JSONBOID)
            JsonbToCString(&json, &DatumGetJsonbP(value.value)->root, 0);
        else
            appendStringInfo(&json, "%d", DatumGetInt32(value.value));
    }
    appendStringInfoChar(&json, '}');

    initStringInfo(&command);
    appendStringInfoString(&command, cron_command_begin);
    append_without_dollar(&command, json.data);
    appendStringInfoString(&command, cron_command_end);
    return PointerGetDatum(cstring_to_text_with_len(command.data, command.len));
}

std::optional<Definition> read_cron_command(Datum command)
{
    const std::string_view whole = TextDatumGetCString(command);
    constexpr std::size_t before = sizeof(cron_command_begin) - 1, after = sizeof(cron_command_end) - 1;
    if (whole.size() < before + after || !whole.starts_with(cron_command_begin) || !whole.ends_with(cron_command_end))
        return std::nullopt;
    const char *json = pnstrdup(whole.data() + before, whole.size() - before - after);
    Definition definition;
    if (pg::in_subtransaction([&] { definition = parse_definition(json); }) != nullptr)
        return std::nullopt;
    return definition;
}

Definition parse_definition(const char *json) { return read_definition(DatumGetJsonbP(parse_json(json))); }

Definition read_definition(Jsonb *definition)
{
    if (!JB_ROOT_IS_OBJECT(definition))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("definition must be a JSON object")));
    Definition result;
    pg::each_member(&definition->root, [&](const pg::JsonMember &member) {
        for (const Part &part : parts)
            if (member.key == part.name) {
                result.*part.member = pg::sql_value(member.value, part.type, part.name);
                return;
            }
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown key \"%s\"", pg::excerpt(member.key))));
    });
    return result;
}

} // namespace schedules
