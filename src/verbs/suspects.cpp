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

bool is_at_fault(const pg_uuid_t *job, Task task, std::int64_t passed, bool is_for_the_caller)
{
    Suspect *known = find(job);
    if (known != nullptr && known->task == task)
        return passed > known->passed || (is_for_the_caller && ++known->raised >= most_raised);
    make_room();
    *static_cast<Suspect *>(hash_search(table, job, HASH_ENTER, nullptr)) = {*job, task, passed,
                                                                             is_for_the_caller ? 1 : 0};
    return false;
}

void acquit(const pg_uuid_t *job)
{
    if (table != nullptr)
        hash_search(table, job, HASH_REMOVE, nullptr);
}

} // namespace verbs::maintain::suspects
