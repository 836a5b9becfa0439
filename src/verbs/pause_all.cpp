// job_pause_all, job_resume_all: the whole queue stands still. Whoever may call them pauses for everybody, so no
// privilege on a table is asked. And the trigger on jobs_ext.pauses, for the rows that a restore brings.
#include "call/fields.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"
#include "store/pauses.hpp"

namespace verbs {

namespace {

struct PauseAll {
    pg::Nullable reason;
};
constexpr call::Field<PauseAll> pause_fields[] = {{"reason", TEXTOID, &PauseAll::reason, call::cut_to_size}};

} // namespace

JOBS_FUNCTION(job_pause_all)
{
    const PauseAll asked = call::read_arguments<pause_fields>(fcinfo);
    pg::StatementScope scope("job_pause_all()");
    return BoolGetDatum(store::pauses::add_pause(settings::now(), asked.reason));
}

JOBS_FUNCTION(job_resume_all)
{
    pg::StatementScope scope("job_resume_all()");
    return BoolGetDatum(store::pauses::remove_pauses());
}

JOBS_FUNCTION(pauses_changed)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("this function is a trigger of the table \"jobs_ext.pauses\"")));
    store::pauses::tell_change();
    return PointerGetDatum(nullptr);
}

} // namespace verbs
