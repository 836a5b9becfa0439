// The private table jobs_ext.set_aside: the jobs at which upkeep failed, each with its error and the time at which
// upkeep tries it again.
//
// The worker and sessions in job_maintain() may do upkeep at once, and meet the same failing job. A process that writes
// here first takes a lock of ours (pg::lock_of_ours), without waiting, and keeps it until its transaction ends. So
// there is one writer at a time; the other process leaves the job and meets it again in a moment. It does not wait,
// because the writer's transaction may contain slow jobs. The lock is not a mode of the table's own lock, because
// VACUUM and REINDEX CONCURRENTLY hold theirs for long, and jobs that fail would be tried in each piece meanwhile
// (test/isolation/specs/set-aside.spec). Readers take no lock but ACCESS SHARE.
//
// The row is written in the transaction of the piece, after the subtransaction that failed: it survives what the job
// did, and a rollback of the piece undoes it, as it undoes the work. A crash after an asynchronous commit may do so
// too; the job then fails once more.
#pragma once

#include "store/tables.hpp"

namespace upkeep {

class SetAside {
public:
    struct Entry {
        pg_uuid_t job; // the key: first, as dynahash wants it
        char task[16]; // name_of_task()
        int failures;  // in all, since the first
        TimestampTz since, retry_at;
    };

    // Reads all rows under the active snapshot, into the current memory context. Raises 42804 if the table was altered.
    // What other processes note afterwards is not in this list.
    SetAside();

    // Whether the job rests at `now`, the queue's time.
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

    // `first`, `again`: the row was made or updated. `not_now`: another process is writing, or has written this row
    // since our snapshot was taken; nothing is changed.
    enum class Noted { first, again, not_now };
    // Sets the job aside, with the SQLSTATE and the message of the error. It is tried again after a second, twice as
    // long after each further failure, an hour at most, each shortened by up to a half at random (logic/backoff.hpp);
    // but not before `rest_ms` milliseconds.
    Noted note_failure(const pg_uuid_t *job, const char *task, const ErrorData *error, TimestampTz now,
                       std::int64_t rest_ms = 0) const;

    // Removes the row of a job that passed, or needs nothing any more. True also if this list has no such job. False:
    // another process is writing, and the row stays.
    bool forget(const pg_uuid_t *job) const;

    // Null: the job was not set aside when the list was read.
    const Entry *find(const pg_uuid_t *job) const;
    long size() const { return entries_ == nullptr ? 0 : hash_get_num_entries(entries_); }

private:
    bool lock_for_writing() const;

    Oid table_;
    HTAB *entries_ = nullptr; // null: there is none
};

} // namespace upkeep
