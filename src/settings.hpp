// The settings jobs_ext.*: what each means stands beside its definition in settings.cpp. Postgres writes these
// variables.
#pragma once

#include "prelude.hpp"

namespace settings {

extern int default_lease;          // seconds
extern int max_payload;            // kilobytes
extern int max_batch;              // elements
extern int max_wait;               // milliseconds
extern int max_wait_authenticated; // milliseconds
extern int max_waiters;
extern int max_hinted_lanes;
extern int max_counted_types;
extern int statistics_interval;  // seconds
extern int maintenance_interval; // milliseconds
extern int audit_interval;       // seconds; -1: never
extern bool notify;
extern char *exclude_databases; // names, separated by commas
extern int archive_after;       // minutes; -1: never
extern int archive_keep;        // minutes; -1: for ever
extern bool async_claim;
extern bool auto_register_types;
extern bool force_statement_path;
extern bool restoring; // a dump that was made with row security
extern bool pause_after_restore;
extern int longest_piece; // milliseconds
extern int stalled_after; // milliseconds
extern int spoil_hints;   // of a thousand

// Whether the library came in by shared_preload_libraries, so that there is shared memory and a launcher.
extern bool preloaded;

// Defines all settings, and reserves the prefix. To be called once, from _PG_init, when `preloaded` is set.
void define();

// The queue's clock: what jobs_ext.now says where it is set, else the time of day, in microseconds. It says what is
// due, and may be set back; what lasts or rests goes by pg::moment() instead (pg/time.hpp).
TimestampTz now();
// Whether jobs_ext.now is set, so that the clock stands.
bool clock_stands();

} // namespace settings
