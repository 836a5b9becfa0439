// What this transaction has for others, told when it is visible to them: at commit what it brought, at abort (of a
// subtransaction: at once) what it had taken and gives back. Prepared in memory before, so that telling cannot fail.
//
// A transaction that is prepared tells nothing; COMMIT PREPARED and ROLLBACK PREPARED have the worker look
// (worker/commands.cpp).
#pragma once

#include "prelude.hpp"

namespace shared::notes {

// A job stands in a lane now, due at that time.
void job_waits(std::int32_t lane, TimestampTz due_at);
// A job left its lane.
void job_taken(std::int32_t lane);
// Whether one did, in this transaction.
bool took(std::int32_t lane);
// The worker has something to do at that time: a lease that ends, a job that expires.
void note_due(TimestampTz instant);
// A job ended, or was deleted.
void job_ended(const pg_uuid_t *job);
// Job types changed, or all jobs were removed: what sleepers want may mean something else, what they wait for may be
// there.
void anything_changed();
// An extension was made or dropped here.
void note_extension_changed();
// A database was made, dropped or altered.
void databases_changed();

void watch_transactions();

} // namespace shared::notes
