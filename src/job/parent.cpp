#include "job/parent.hpp"

#include "job/new_job.hpp"
#include "job/refusal.hpp"

namespace job {

namespace {

using store::Column;
using store::Row;
using store::Tables;

// How far up ancestors are followed. More of them are no family but a list, or a cycle of the owner's.
constexpr int most_generations = 10000;

// Looks up jobs by id under the active snapshot, and reads of each what is asked of a parent.
class Family {
public:
    Family(const Tables &tables, Relation jobs)
        : tables_(tables), slot_(jobs), index_(store::open_index_of_jobs(jobs, tables, Column::id, AccessShareLock)),
          by_id_(jobs, index_)
    {
    }

    bool find(const pg_uuid_t *id)
    {
        static constexpr RegProcedure equal_uuid[] = {F_UUID_EQ};
        const Datum keys[] = {UUIDPGetDatum(id)};
        return by_id_.find(keys, equal_uuid, slot_);
    }

    // Of the job that was found. Not by read_row(), since an ancestor that lacks something else does no harm.
    std::optional<pg_uuid_t> id_in(Column column)
    {
        bool null;
        const Datum value = slot_getattr(slot_, tables_.number[store::index_of(column)], &null);
        if (null)
            return std::nullopt;
        return *DatumGetUUIDP(value);
    }

private:
    const Tables &tables_;
    pg::Slot slot_;
    pg::OpenRelation index_;
    pg::IndexLookup by_id_;
};

// Raises PT409 where the job is its new parent, or an ancestor of that one.
void check_ancestors(Family &family, const Row &job, const pg_uuid_t *parent)
{
    pg_uuid_t ancestor = *parent;
    for (int i = 0; i < most_generations; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (store::same_id(&ancestor, job.id()))
            call::raise(own_ancestor(job, parent));
        const auto next = family.find(&ancestor) ? family.id_in(Column::parent_job_id) : std::nullopt;
        if (!next)
            return;
        ancestor = *next;
    }
    call::raise(too_many_ancestors(job, parent, most_generations));
}

bool is_of_organisation(Family &family, const pg_uuid_t *job, const pg_uuid_t *organisation)
{
    const auto found = family.find(job) ? family.id_in(Column::organisation_id) : std::nullopt;
    return found && store::same_id(&*found, organisation);
}

} // namespace

void check_parent(const Tables &tables, Relation jobs, const Row &row)
{
    if (!row.has(Column::parent_job_id))
        return;
    const pg_uuid_t parent = *DatumGetUUIDP(row[Column::parent_job_id]);
    const pg_uuid_t *organisation = DatumGetUUIDP(row[Column::organisation_id]);
    pg::lock_of_ours(RelationGetRelid(jobs), hash_bytes(organisation->data, UUID_LEN), pg::Wait::yes);
    const bool visible = may_see_job(tables, &parent);
    CommandCounterIncrement(); // so that it sees the rows that this statement has written already
    PushActiveSnapshot(GetLatestSnapshot());
    {
        Family family(tables, jobs);
        if (!visible || !is_of_organisation(family, &parent, organisation))
            ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                            errmsg("parent_job_id names no job of this organisation: %s", store::to_text(&parent))));
        check_ancestors(family, row, &parent);
    }
    PopActiveSnapshot();
}

} // namespace job
