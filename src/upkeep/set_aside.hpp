// The private table `set_aside`: the jobs that made maintenance fail, each until it is tried again.
//
// Two processes may do maintenance at once. Whoever writes here locks out the other, without waiting: what can't be
// noted now is met again in a moment.
#pragma once

#include "store/tables.hpp"

namespace upkeep {

class SetAside {
public:
    struct Entry {
        pg_uuid_t job; // the key
        char task[16];
        int failures;
        TimestampTz since, retry_at;
    };

    // Reads them all, in the current memory context.
    SetAside();

    // Whether it is too early to try the job again.
    bool is_waiting(const pg_uuid_t *job, TimestampTz now) const;

    // Calls `each(const Entry &)` for every one.
    template <class Each>
    void each(Each each) const
    {
        HASH_SEQ_STATUS status;
        if (entries_ == nullptr)
            return;
        hash_seq_init(&status, entries_);
        while (auto entry = static_cast<const Entry *>(hash_seq_search(&status)))
            each(*entry);
    }

    // `not_now`: somebody else is writing.
    enum class Noted { first, again, not_now };
    // It is tried again after `rest` at the earliest.
    Noted note(const pg_uuid_t *job, const char *task, const ErrorData *error, TimestampTz now,
               std::int64_t rest_ms = 0) const;

    // False: somebody else is writing.
    bool forget(const pg_uuid_t *job) const;

    // Null: it is not set aside.
    const Entry *find(const pg_uuid_t *job) const;
    long count() const { return entries_ == nullptr ? 0 : hash_get_num_entries(entries_); }

private:
    bool lock() const;

    Oid table_;
    HTAB *entries_ = nullptr; // null: there is none
};

} // namespace upkeep
