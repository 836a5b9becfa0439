#include "job/claims.hpp"

#include <cctype>

#include "pg/function.hpp"
#include "store/row.hpp"

namespace job {

namespace {

// A setting, if it says anything.
const char *setting(const char *name)
{
    const char *value = GetConfigOption(name, true, false);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

// Whether json_object_field() and its kin can read it: they raise for what is no JSON, and for escapes that stand for
// no character. Other than jsonb they take numbers of any size.
bool is_json(const char *text) { return pg_parse_json(pg::json_lexer(text), &nullSemAction) == JSON_SUCCESS; }

// A member of a JSON object, as JSON or as text; null where there is none, or it is JSON's null, or the value is no
// object.
pg::Nullable member(PGFunction read, Datum json, const char *name)
{
    LOCAL_FCINFO(call, 2);
    InitFunctionCallInfoData(*call, nullptr, 2, InvalidOid, nullptr, nullptr);
    call->args[0] = {json, false};
    call->args[1] = {CStringGetTextDatum(name), false};
    const Datum value = read(call);
    return {value, call->isnull};
}

// Null unless it is a uuid in its usual form. Compared by characters, since uuid_in() would raise. It would take other
// forms of a uuid too.
pg::Nullable as_uuid(const char *text)
{
    constexpr std::string_view form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const std::string_view given = text;
    bool fits = given.size() == form.size();
    for (std::size_t i = 0; fits && i < form.size(); ++i)
        fits = form[i] == '-' ? given[i] == '-' : std::isxdigit(static_cast<unsigned char>(given[i])) != 0;
    return fits ? pg::Nullable(DirectFunctionCall1(uuid_in, CStringGetDatum(text))) : pg::Nullable{};
}

pg::Nullable uuid_member(pg::Nullable json, const char *name)
{
    const pg::Nullable value = json ? member(json_object_field_text, json.value, name) : pg::Nullable{};
    return value ? as_uuid(TextDatumGetCString(value.value)) : pg::Nullable{};
}

// All claims, as json; null where there are none, or they are no JSON.
pg::Nullable all_claims()
{
    const char *claims = setting("request.jwt.claims");
    return claims != nullptr && is_json(claims) ? pg::Nullable(CStringGetTextDatum(claims)) : pg::Nullable{};
}

pg::Nullable uuid_setting(const char *name)
{
    const char *single = setting(name);
    return single != nullptr ? as_uuid(single) : pg::Nullable{};
}

} // namespace

pg::Nullable organisation_of_request()
{
    if (const pg::Nullable single = uuid_setting("request.jwt.claim.org_id"))
        return single;
    const pg::Nullable claims = all_claims();
    if (const pg::Nullable top = uuid_member(claims, "org_id"))
        return top;
    const pg::Nullable server_side = claims ? member(json_object_field, claims.value, "app_metadata") : pg::Nullable{};
    return uuid_member(server_side, "org_id");
}

pg::Nullable user_of_request()
{
    if (const pg::Nullable single = uuid_setting("request.jwt.claim.sub"))
        return single;
    return uuid_member(all_claims(), "sub");
}

namespace {

// Whether this is what Postgres raises where a policy's WITH CHECK refuses a row of `jobs`. By the function that raises
// it: privileges and triggers of the user's have the same SQLSTATE, and their own hints.
bool is_policy_of_jobs(const ErrorData *error)
{
    return error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && error->funcname != nullptr &&
           std::strcmp(error->funcname, "ExecWithCheckOptions") == 0 &&
           std::strstr(error->message, "\"jobs\"") != nullptr;
}

// Whether a foreign key does not know the nil organisation, whose the jobs are that name none. A constraint's DETAIL is
// translated around the columns and their values, which are not.
bool is_of_nobody(const ErrorData *error)
{
    return error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION && error->table_name != nullptr &&
           std::strcmp(error->table_name, "jobs") == 0 && error->detail != nullptr &&
           std::strstr(error->detail, "(organisation_id)=(00000000-0000-0000-0000-000000000000)") != nullptr;
}

} // namespace

void ExplainRefusal::explain(void *self)
{
    if (geterrcode() != ERRCODE_INSUFFICIENT_PRIVILEGE && geterrcode() != ERRCODE_FOREIGN_KEY_VIOLATION)
        return;
    // errfinish() calls this in ErrorContext, where CopyErrorData() must not be called.
    MemoryContext before = MemoryContextSwitchTo(CurTransactionContext);
    const ErrorData *error = CopyErrorData();
    if (is_of_nobody(error))
        errhint("The job names no organisation: pass organisation_id.");
    else if (is_policy_of_jobs(error)) {
        const auto named = [](pg::Nullable id) { return id ? store::to_text(DatumGetUUIDP(id.value)) : "none"; };
        errdetail_internal("The job is for organisation %s. The claims of the request name organisation %s, user %s.",
                           store::to_text(DatumGetUUIDP(static_cast<ExplainRefusal *>(self)->organisation_)),
                           named(organisation_of_request()), named(user_of_request()));
        errhint("Name an organisation of the user's. Or have a JWT hook set the claim org_id or app_metadata.org_id, "
                "or the policies ask for memberships: select jobs_ext.bind(...). Where they do, the user is no member "
                "of it.");
    }
    MemoryContextSwitchTo(before);
}

namespace {

Datum uuid_or_null(FunctionCallInfo fcinfo, pg::Nullable id)
{
    fcinfo->isnull = id.null;
    return id.value;
}

} // namespace

JOBS_FUNCTION(claimed_organisation) { return uuid_or_null(fcinfo, organisation_of_request()); }

JOBS_FUNCTION(claimed_user) { return uuid_or_null(fcinfo, user_of_request()); }

} // namespace job
