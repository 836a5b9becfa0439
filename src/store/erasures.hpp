// The private table jobs_ext.erasures: the organisations of which nothing is to be left. A row comes when somebody asks
// for it (jobs_ext.erase_organisation()) or deletes an organisation that jobs are bound to, in that transaction, and
// goes when upkeep finds nothing of it any more (upkeep/erase.cpp). ROLLBACK takes back either.
//
// An organisation that was deleted may come again under the same id, before upkeep has come to it. So a deletion means
// what was archived until then; its jobs are gone with it already. Each deletion has a row of its own.
//
// A session asks for all of an organisation while a worker, which has found nothing of it, removes its row: the session
// waits for the worker and then inserts a row again. It finds the row and inserts none, and the worker removes it a
// moment later: what is in `jobs` then was put there by somebody who was not told to stop.
#pragma once

#include "store/tables.hpp"

namespace store::erasures {

struct Erasure {
    pg_uuid_t organisation;
    TimestampTz archived_until; // DT_NOEND: what is not archived as well
};

void ask(const Erasure &erasure, TimestampTz now);
// As the active snapshot shows them, in the current memory context.
std::span<const Erasure> all();
void remove(const Erasure &erasure);

} // namespace store::erasures
