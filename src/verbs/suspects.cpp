// Jobs at which maintenance met an error that looks like the server's.
#include "verbs/suspects.hpp"

namespace verbs::maintain::suspects {

namespace {

constexpr long most = 10000; // then it begins afresh: they may have ended long ago
constexpr int most_raised = 3;

struct Suspect {
    pg_uuid_t job; // the key
    Task task;
    std::int64_t passed; // jobs of the task, until it failed first
    int raised;          // so often it ended the call
    int canceled;        // so many calls were canceled at it
};
HTAB *table = nullptr;

Suspect *find(const pg_uuid_t *job)
{
    return table == nullptr ? nullptr : static_cast<Suspect *>(hash_search(table, job, HASH_FIND, nullptr));
}

void make_room()
{
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

} // namespace

bool is_one(const pg_uuid_t *job) { return find(job) != nullptr; }

namespace {

Suspect *enter(const pg_uuid_t *job, Task task, std::int64_t passed)
{
    make_room();
    auto entry = static_cast<Suspect *>(hash_search(table, job, HASH_ENTER, nullptr));
    *entry = {*job, task, passed, 0, 0};
    return entry;
}

// Null: it is not suspected in this task.
Suspect *find_of(const pg_uuid_t *job, Task task)
{
    Suspect *known = find(job);
    return known != nullptr && known->task == task ? known : nullptr;
}

} // namespace

bool is_at_fault(const pg_uuid_t *job, Task task, std::int64_t passed, bool is_for_the_caller)
{
    if (Suspect *known = find_of(job, task))
        return passed > known->passed || (is_for_the_caller && ++known->raised >= most_raised);
    enter(job, task, passed)->raised = is_for_the_caller ? 1 : 0;
    return false;
}

void note_cancel(const pg_uuid_t *job, Task task, std::int64_t passed)
{
    Suspect *known = find_of(job, task);
    if (known == nullptr)
        known = enter(job, task, passed);
    ++known->canceled;
}

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

} // namespace verbs::maintain::suspects
