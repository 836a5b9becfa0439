// The private table jobs_ext.erasures: the organisations of which nothing is to be left. A row comes when somebody asks
// for it (jobs_ext.erase_organisation()) or deletes an organisation that jobs are bound to, in that transaction, and
// goes when upkeep finds nothing of it any more (upkeep/erase.cpp). ROLLBACK takes back either.
//
// A session asks for an organisation while a worker, which has found nothing of it, removes its row: the session waits
// for the worker and then inserts a row again. It finds the row and inserts none, and the worker removes it a moment
// later: what is in `jobs` then was put there by somebody who was not told to stop. Not so where an organisation is
// deleted, since until that commits its jobs are there to be found, and afterwards the foreign key lets none come.
#pragma once

#include "store/tables.hpp"

namespace store::erasures {

void ask(const pg_uuid_t *organisation, TimestampTz now);
// As the active snapshot shows them, in the current memory context.
std::span<const pg_uuid_t> all();
void remove(const pg_uuid_t *organisation);

} // namespace store::erasures
