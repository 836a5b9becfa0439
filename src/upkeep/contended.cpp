#include "upkeep/contended.hpp"

namespace upkeep {

namespace {

// Rests go by pg::Moment, because the queue's clock may stand (jobs_ext.now). An entry stays for a while after its
// rest, so that the rest doubles if the job is still held.
struct Contended {
    pg_uuid_t job; // the key
    pg::Moment until;
    store::Microseconds rest;
};
HTAB *contended = nullptr; // in TopMemoryContext; null: empty

// 50 ms let a single call commit. 1 s is how late upkeep may be once a long transaction has ended.
constexpr store::Microseconds first_rest = USECS_PER_SEC / 20, longest_rest = USECS_PER_SEC;

} // namespace

std::optional<store::Microseconds> next_contended()
{
    if (contended == nullptr)
        return std::nullopt;
    const pg::Moment now = pg::moment();
    std::optional<store::Microseconds> next;
    HASH_SEQ_STATUS status;
    hash_seq_init(&status, contended);
    while (auto entry = static_cast<const Contended *>(hash_seq_search(&status)))
        if (entry->until > now)
            next = std::min(next.value_or(longest_rest), entry->until.microseconds - now.microseconds);
        // dynahash allows the removal of the entry that hash_seq_search() has just returned, and of no other.
        else if (entry->until + longest_rest < now)
            hash_search(contended, &entry->job, HASH_REMOVE, nullptr);
    return next;
}

void note_contended(const pg_uuid_t *job)
{
    if (contended == nullptr) {
        HASHCTL control = {};
        control.keysize = sizeof(pg_uuid_t);
        control.entrysize = sizeof(Contended);
        control.hcxt = TopMemoryContext;
        contended = hash_create("jobs_ext contended jobs", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    bool known;
    auto entry = static_cast<Contended *>(hash_search(contended, job, HASH_ENTER, &known));
    entry->rest = known ? std::min(entry->rest * 2, longest_rest) : first_rest;
    entry->until = pg::moment() + entry->rest;
}

void forget_contended()
{
    if (contended != nullptr)
        hash_destroy(contended);
    contended = nullptr;
}

store::Microseconds contended_for(const pg_uuid_t *job)
{
    auto entry = contended == nullptr ? nullptr
                                      : static_cast<const Contended *>(hash_search(contended, job, HASH_FIND, nullptr));
    return entry == nullptr ? 0
                            : std::max<store::Microseconds>(entry->until.microseconds - pg::moment().microseconds, 0);
}

} // namespace upkeep
