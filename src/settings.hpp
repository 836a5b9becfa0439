// The settings jobs_ext.*: what each means stands beside its definition in settings.cpp.
#pragma once

#include "prelude.hpp"

namespace settings {

extern int default_lease; // seconds
extern int max_payload;   // kilobytes
extern int max_batch;     // elements
extern int max_wait;      // milliseconds
extern int max_waiters;
extern int maintenance_interval; // milliseconds
extern int audit_interval;       // seconds; -1: never
extern bool notify;
extern char *exclude_databases; // names, separated by commas
extern int archive_after;       // minutes; -1: never
extern int archive_keep;        // minutes; -1: for ever
extern bool async_claim;
extern bool auto_register_types;
extern bool force_statement_path;
extern bool restoring;    // a dump that was made with row security
extern int longest_piece; // milliseconds
extern int stalled_after; // milliseconds

// True when the library came in by shared_preload_libraries.
extern bool preloaded;

void define();

// The server's clock: what `jobs_ext.now` says if it is set, else the time of day. The only place that reads it.
TimestampTz now();
// Whether it is set, and so stands.
bool clock_stands();

} // namespace settings
