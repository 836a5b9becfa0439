// What this transaction did to the rows of the lists that have hints (shared/hints.hpp): where the first row stands
// that it brought, and the first that it removed. At commit the hints come down to the former, at rollback, of a
// subtransaction at once, to the latter. Called by at_commit.cpp, which says when.
//
// It also is the transaction's own hint: others do not see what it brought, and raise the shared hint past it, so it
// begins to read at the lower of the two. Its own is raised by what it reads, so that ten thousand claims and
// completions in one transaction do not walk over each other.
#pragma once

#include "shared/hints.hpp"

namespace shared::own_rows {

// A row stands there now, or does no longer. To be called before any hint is raised past it. Nothing where nothing is
// shared; an error only where memory is lacking.
void brought(const hints::List &list, const logic::Place &at);
void removed(const hints::List &list, const logic::Place &at);

// Brings the hints of a lane down to the first rows of those that this transaction brought.
void lower(Oid table, std::int32_t lane, hints::Places &places);
// The lists in which it brought rows, and how far it has read those: where the first of its own may stand.
int count_lists();
hints::List list(int i);
logic::Place first(int i);
// It saw none of its own before `to`.
void raise(const hints::List &list, const logic::Place &to);

// For at_commit.cpp. They raise no error.
void tell_commit();
void tell_abort(int level);
void hand_up(int level);
void forget();

} // namespace shared::own_rows
