// Our triggers on `job_types`: what a change of a type means to every process, and its lane.
#include "job/triggers.hpp"
#include "shared/at_commit.hpp"
#include "store/lanes.hpp"

namespace job {

namespace {

// Makes the lane of a type with the type. If its first job made it, the first jobs of other sessions would wait until
// that job's transaction ends. It waits for nobody: prepare_lane_of() leaves the lane to the first job where another
// session is in the way.
void prepare_lane(const TriggerData *trigger)
{
    if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
        return;
    HeapTuple row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
    TupleDesc columns = RelationGetDescr(trigger->tg_relation);
    const int number = SPI_fnumber(columns, "job_type");
    if (number <= 0)
        return;
    const Oid type = SPI_gettypeid(columns, number);
    bool null;
    const Datum value = heap_getattr(row, number, columns, &null);
    if (null || (type != VARCHAROID && type != TEXTOID))
        return; // the owner altered the column: no job of the type can be made either
    auto name = DatumGetTextPP(value);
    const std::string_view view(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
    if (view.size() < store::type_name_bytes)
        store::lanes::prepare_lane_of(view);
}

} // namespace

// After any change of job_types: at commit every process hears that what it knows of the types is stale, and sleepers
// look again, since a type may not be paused any more. TRUNCATE too, for the statement, without a lane.
JOBS_FUNCTION(job_types_changed)
{
    TriggerData *trigger = triggers::context_of(fcinfo, store::ApiTable::job_types, [](TriggerEvent) { return true; });
    CacheInvalidateRelcache(trigger->tg_relation);
    prepare_lane(trigger);
    shared::notes::anything_changed();
    return PointerGetDatum(nullptr);
}

} // namespace job
