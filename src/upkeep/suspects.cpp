#include "upkeep/suspects.hpp"

#include "pg/time.hpp"

namespace upkeep::suspects {

namespace {

constexpr long most = 10000; // bounds the memory; a list that is full of fresh suspects begins anew
// An hour, like the longest rest of a job that is set aside.
constexpr long lapse_ms = 3600000;
constexpr int most_raised = 3; // calls of a session that one job may undo, or have cancelled

struct Suspect {
    pg_uuid_t job; // the key
    Task task;
    std::int64_t passed;  // how many jobs of the task had passed when this one failed first
    int raised;           // calls of a session that it ended by an error
    int canceled;         // calls of a session that were cancelled at it
    pg::Moment failed_at; // the last time
};
HTAB *table = nullptr; // in TopMemoryContext, so that the abort of a transaction keeps it; null: empty

bool has_lapsed(const Suspect &suspect) { return pg::is_over(suspect.failed_at, lapse_ms); }

Suspect *find_suspect(const pg_uuid_t *job)
{
    if (table == nullptr)
        return nullptr;
    auto found = static_cast<Suspect *>(hash_search(table, job, HASH_FIND, nullptr));
    return found != nullptr && !has_lapsed(*found) ? found : nullptr;
}

// Null: the job is not suspected in this task. (A job has one entry: a failure in another task replaces it.)
Suspect *find_of(const pg_uuid_t *job, Task task)
{
    Suspect *known = find_suspect(job);
    return known != nullptr && known->task == task ? known : nullptr;
}

void remove_lapsed()
{
    HASH_SEQ_STATUS status;
    hash_seq_init(&status, table);
    // dynahash allows the removal of the entry that hash_seq_search() has just returned, and of no other.
    while (auto suspect = static_cast<Suspect *>(hash_seq_search(&status)))
        if (has_lapsed(*suspect))
            hash_search(table, &suspect->job, HASH_REMOVE, nullptr);
}

void make_room()
{
    if (table != nullptr && hash_get_num_entries(table) >= most)
        remove_lapsed();
    if (table != nullptr && hash_get_num_entries(table) >= most) {
        hash_destroy(table);
        table = nullptr;
    }
    if (table != nullptr)
        return;
    HASHCTL control = {};
    control.keysize = sizeof(pg_uuid_t);
    control.entrysize = sizeof(Suspect);
    control.hcxt = TopMemoryContext;
    table = hash_create("jobs_ext suspects", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

// Notes a failure, the first or a further one. Keeps `passed` of the first: others that pass after it tell.
Suspect *note_suspect(const pg_uuid_t *job, Task task, std::int64_t passed)
{
    Suspect *known = find_of(job, task);
    if (known == nullptr) {
        make_room();
        known = static_cast<Suspect *>(hash_search(table, job, HASH_ENTER, nullptr));
        *known = {*job, task, passed, 0, 0, {}};
    }
    known->failed_at = pg::moment();
    return known;
}

} // namespace

bool is_one(const pg_uuid_t *job) { return find_suspect(job) != nullptr; }

bool is_at_fault(const pg_uuid_t *job, Task task, std::int64_t passed, bool is_for_the_caller)
{
    Suspect *suspect = note_suspect(job, task, passed);
    suspect->raised += is_for_the_caller ? 1 : 0;
    return passed > suspect->passed || suspect->raised >= most_raised;
}

void note_cancel(const pg_uuid_t *job, Task task, std::int64_t passed) { ++note_suspect(job, task, passed)->canceled; }

bool is_too_slow(const pg_uuid_t *job, Task task)
{
    const Suspect *known = find_of(job, task);
    return known != nullptr && known->canceled >= most_raised;
}

void acquit(const pg_uuid_t *job)
{
    if (table != nullptr)
        hash_search(table, job, HASH_REMOVE, nullptr);
}

} // namespace upkeep::suspects
