// What follows from a change of a job: the one way by which all that is told of jobs elsewhere stays in step with
// `jobs`.
//
// The code that has written a change calls follow(): Jobs for a verb that writes directly, our AFTER trigger
// (job/direct_dml.cpp) for every statement, be it a verb's or a client's. The derived tables come first; then each of
// the followers, in their order. A new one is a file, and its name in the list below.
//
// The race: two sessions change the same job at once, and each moves its keys. They can't, because the row of `jobs` is
// the mutex: the caller has written or locked its newest version and saw that version through the active snapshot, so
// that snapshot shows the newest keys as well (key_table.hpp). All that is written here is part of the caller's
// transaction or savepoint, and is rolled back with the change that it follows from; what others are to hear is kept in
// memory until the commit (shared/at_commit.hpp).
#pragma once

#include "store/derived.hpp"

namespace store {

struct Transition {
    const Row *before; // null: the job is new
    const Row *after;  // null: it is gone
    Keys was, is;      // what the derived tables say of `before` and of `after`
    std::optional<EndedAttempt> ended = {};

    // Only the owner of `jobs` may do that.
    bool changes_organisation() const
    {
        return before != nullptr && after != nullptr &&
               (before->has(Column::organisation_id) != after->has(Column::organisation_id) ||
                (after->has(Column::organisation_id) && !same_id(DatumGetUUIDP((*before)[Column::organisation_id]),
                                                                 DatumGetUUIDP((*after)[Column::organisation_id]))));
    }
};

using Follower = void(const Transition &);
Follower announce;     // announce.cpp: what others hear at commit
Follower count_events; // count_events.cpp: the statistics of its type, and its depth
Follower hold_parent;  // children.cpp: a child is added, and its parent does not go on meanwhile
Follower keep_steps;   // steps.cpp: with a job that is deleted, or goes over to another organisation
// attempts.cpp: the last one, because it may run a trigger of the user's on job_attempts, which may call a verb on the
// very job: that verb has to find the derived tables in step.
Follower keep_attempts;
inline constexpr Follower *followers[] = {announce, count_events, hold_parent, keep_steps, keep_attempts};
void tell_followers(const Transition &transition);

// Says that the job was `before` and is `after`, and that the change ended the attempt `ended`, if any. `queue_row`:
// where the job's row of the queue is, if the caller knows that from a scan under the active snapshot; it spares a
// search. Raises 40001 outside READ COMMITTED where the derived tables were built anew after the transaction's
// snapshot.
void follow(Derived &derived, const Row *before, const Row *after, const std::optional<EndedAttempt> &ended = {},
            ItemPointer queue_row = nullptr);

// The same for a job whose id was not in the table before: its keys are inserted without a search.
void follow_new(Derived &derived, const Row &row);
// The same for several, pg::Slots::most at most. `at(i)` is called before the followers of the i-th, which may fail.
template <class At>
void follow_new(Derived &derived, std::span<const Row> rows, At at)
{
    std::array<Keys, pg::Slots::most> keys;
    for (std::size_t i = 0; i < rows.size(); ++i)
        keys[i] = keys_of(rows[i]);
    derived.insert(std::span(keys).first(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        at(i);
        tell_followers({nullptr, &rows[i], {}, keys[i]});
    }
}

// The part of count_events that has to add up over the versions of a job, one by one: how many jobs of a type wait and
// run. For direct_dml.cpp, where a trigger has changed the job once more.
Follower count_depth;

// The job did not change, but keys of it were missing. restore_key(), for the audit, puts one back; add_keys(), for a
// build, inserts all. Sleepers and the worker hear of it at commit, because they could not find the job before.
void restore_key(Derived &derived, const Row &row, DerivedTable table);
void add_keys(Derived &derived, const Row &row);

} // namespace store
