#include "schedules/definition.hpp"

#include "pg/sqlstate.hpp"
#include "pg/subtransaction.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"

namespace schedules {

namespace {

constexpr char cron_prefix[] = "jobs_ext: ";
constexpr char cron_command_end[] = "$jobs_ext$";

// In bytes: 53. pg_cron before 1.5 keeps names in a column of type name, and would cut a longer one without a word; two
// schedules could then replace each other.
constexpr std::size_t longest_name = NAMEDATALEN - 1 - (sizeof(cron_prefix) - 1);

constexpr auto own_fields = call::pick_fields<job::new_job_fields>({"job_type", "input_payload", "priority"});

// The parameters of job_enqueue that mean the same at each run. Not job_id, which one job alone can have, nor run_at
// and expires_at, which would be over at the second run; expires_in stands for the last.
constexpr auto job_options = call::pick_fields<job::new_job_fields>(
    {"max_retries", "retry_delay_ms", "job_category", "organisation_id", "restaurant_id", "created_by", "metadata"});

void read_pile_up(Recurring &schedule, const JsonbValue &value, const char *option)
{
    if (value.type != jbvBool)
        pg::raise_wrong_type(option, "true or false", value);
    schedule.pile_up = value.val.boolean;
}

constexpr call::Field<Recurring> run_options[] = {
    {"expires_in", INTERVALOID, &Recurring::expires_in, call::positive_span},
    {"pile_up", BOOLOID, read_pile_up},
};

void check_name(pg::Nullable name)
{
    call::require_value(name, "name");
    call::check_length(name, longest_name, "name"); // says so in characters; the bytes are checked below
    const std::size_t size = pg::text_view(name.value).size();
    if (size > longest_name)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("name must have at most %zu bytes: it has %zu", longest_name, size)));
}

// Appends the JSON without any dollar sign, so that no value in it ends the dollar quote and runs the rest as SQL of
// the scheduler's. In JSON a dollar sign stands in strings alone, where it can be written as \u0024.
void append_without_dollar(StringInfo to, const char *json)
{
    for (; *json != '\0'; ++json)
        if (*json == '$')
            appendStringInfoString(to, "\\u0024");
        else
            appendStringInfoCharMacro(to, *json);
}

} // namespace

Recurring recurring(const Definition &given)
{
    Recurring schedule = {};
    check_name(given.name);
    schedule.name = given.name.value;
    own_fields[0].take(schedule.job, given.job_type);
    own_fields[1].take(schedule.job, given.input_payload);
    own_fields[2].take(schedule.job, given.priority);
    call::check_object(given.options, "options");
    if (given.options)
        call::read_members<job_options, run_options>(&DatumGetJsonbP(given.options.value)->root, "options",
                                                     schedule.job, schedule);
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
    // The mark comes last, so it wins over a key "schedule" of the caller's (jsonb_concat).
    const Datum own = pg::parse_json(mark.data);
    job.metadata = job.metadata ? DirectFunctionCall2(jsonb_concat, job.metadata.value, own) : own;
    call::check_size(job.metadata, "metadata"); // again, now with the mark
    const TimestampTz now = settings::now();
    return job::make_row(jobs, job, now, pg::time_ordered_uuid(now));
}

Datum cron_name(Datum name) { return CStringGetTextDatum(psprintf("%s%s", cron_prefix, TextDatumGetCString(name))); }

Datum cron_command(const Definition &definition)
{
    StringInfoData json, command;
    initStringInfo(&json);
    for (const call::Field<Definition> &part : definition_fields) {
        const pg::Nullable value = part.value_in(definition);
        if (!value)
            continue;
        appendStringInfo(&json, "%s\"%s\": ", json.len == 0 ? "{" : ", ", part.name.data());
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

Definition parse_definition(const char *json) { return read_definition(pg::parse_json(json)); }

Definition read_definition(Datum json)
{
    Definition result;
    call::read_object<definition_fields>(pg::json_value_of(json), "definition", nullptr, result);
    return result;
}

} // namespace schedules
