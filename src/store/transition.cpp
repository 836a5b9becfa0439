#include "store/transition.hpp"

#include "shared/at_commit.hpp"

namespace store {

namespace {

Keys keys_of(const Row *row) { return row == nullptr ? Keys{} : keys_of(*row); }

} // namespace

void tell_followers(const Transition &transition)
{
    for (Follower *follower : followers)
        follower(transition);
}

void follow(Derived &derived, const Row *before, const Row *after, const std::optional<EndedAttempt> &ended,
            ItemPointer queue_row)
{
    const Transition transition = {before, after, keys_of(before), keys_of(after), ended};
    derived.move(transition.was, transition.is, queue_row);
    tell_followers(transition);
}

void follow_new(Derived &derived, const Row &row)
{
    const Transition transition = {nullptr, &row, {}, keys_of(row)};
    derived.insert(transition.is);
    tell_followers(transition);
}

void restore_key(Derived &derived, const Row &row, DerivedTable table)
{
    Transition transition = {nullptr, &row, {}, {}};
    transition.is[table] = keys_of(row)[table];
    derived.move(transition.was, transition.is);
    shared::notes::derived_mended();
    announce(transition);
}

void add_keys(Derived &derived, const Row &row)
{
    const Transition transition = {nullptr, &row, {}, keys_of(row)};
    derived.insert(transition.is);
    announce(transition);
}

} // namespace store
