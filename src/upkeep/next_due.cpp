// When maintenance has something to do next, and which jobs it leaves alone until then.
#include "pg/time.hpp"
#include "store/run_scan.hpp"
#include "store/types.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

// Jobs that somebody held when they were looked at: left alone for a twentieth of a second first, twice as long each time.
// By a clock of its own: the queue's may stand. Lives as long as the backend; entries go when they are old.
struct Held {
    pg_uuid_t job; // the key
    pg::Moment until;
    store::Microseconds rest;
};
HTAB *held = nullptr;
constexpr store::Microseconds first_rest = USECS_PER_SEC / 20, longest_rest = USECS_PER_SEC;

class Earliest {
public:
    Earliest() { dues_.fill(DT_NOEND); }
    void add(Task task, TimestampTz instant)
    {
        TimestampTz &due = dues_[static_cast<std::size_t>(task)];
        due = std::min(due, instant);
    }
    Dues get() const { return dues_; }

private:
    Dues dues_;
};

// How long until one of those is looked at again; nothing: there is none.
std::optional<store::Microseconds> next_held()
{
    if (held == nullptr)
        return std::nullopt;
    const pg::Moment now = pg::moment();
    std::optional<store::Microseconds> next;
    HASH_SEQ_STATUS status;
    hash_seq_init(&status, held);
    while (auto entry = static_cast<const Held *>(hash_seq_search(&status)))
        if (entry->until > now)
            next = std::min(next.value_or(longest_rest), entry->until.microseconds - now.microseconds);
        else if (entry->until + longest_rest < now)
            hash_search(held, &entry->job, HASH_REMOVE, nullptr);
    return next;
}

TimestampTz first_of(store::RunScan &&run, const Skip &skip)
{
    while (const store::Candidate *next = run.next())
        if (!skip(&next->job))
            return next->key.due_at;
    return DT_NOEND;
}

void add_ended(const store::Tables &tables, const Skip &skip, Earliest &earliest)
{
    const store::KeyTable table(tables.ended, AccessShareLock);
    std::int32_t lane = 0;
    for (int left = store::lanes::count(); left > 0; --left) {
        lane = store::lanes::after(lane);
        for (const std::int16_t rank : {logic::completed_rank, logic::failed_rank}) {
            const Keep keep = keep_of(lane, rank);
            if (keep.span)
                earliest.add(keep.task, end_of(keep, first_of(store::RunScan(table, lane, rank, DT_NOEND), skip)));
        }
    }
}

} // namespace

void note_held(const pg_uuid_t *job)
{
    if (held == nullptr) {
        HASHCTL control = {};
        control.keysize = sizeof(pg_uuid_t);
        control.entrysize = sizeof(Held);
        control.hcxt = TopMemoryContext;
        held = hash_create("jobs_ext held jobs", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    bool known;
    auto entry = static_cast<Held *>(hash_search(held, job, HASH_ENTER, &known));
    entry->rest = known ? std::min(entry->rest * 2, longest_rest) : first_rest;
    entry->until = pg::moment() + entry->rest;
}

void forget_held()
{
    if (held != nullptr)
        hash_destroy(held);
    held = nullptr;
}

store::Microseconds held_for(const pg_uuid_t *job)
{
    auto entry = held == nullptr ? nullptr : static_cast<const Held *>(hash_search(held, job, HASH_FIND, nullptr));
    return entry == nullptr ? 0
                            : std::max<store::Microseconds>(entry->until.microseconds - pg::moment().microseconds, 0);
}

bool Skip::operator()(const pg_uuid_t *job) const { return set_aside.is_waiting(job, now_) || held_for(job) > 0; }

Dues next_due(TimestampTz now)
{
    PushActiveSnapshot(GetTransactionSnapshot());
    const store::Tables tables = store::tables();
    Earliest earliest;
    if (!tables.is_queue_built()) {
        earliest.add(Task::reap, now); // builds it
    } else {
        const Skip skip(tables, now);
        const store::KeyTable queue(tables.queue, AccessShareLock), expiring(tables.expiring, AccessShareLock);
        earliest.add(Task::reap, first_of(store::RunScan(queue, logic::running_lane, 0, DT_NOEND), skip));
        earliest.add(Task::expire, first_of(store::RunScan(expiring, DT_NOEND), skip));
        add_ended(tables, skip, earliest);
        skip.set_aside.each([&](const upkeep::SetAside::Entry &entry) {
            for (const Task task : all_tasks)
                if (std::strcmp(entry.task, name(task)) == 0)
                    earliest.add(task, std::max(entry.retry_at, now + held_for(&entry.job)));
        });
        if (const auto in = next_held())
            for (const Task task : all_tasks)
                earliest.add(task, now + *in);
    }
    PopActiveSnapshot();
    return earliest.get();
}

} // namespace upkeep
