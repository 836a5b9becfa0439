// Reads tables that are derived from `jobs` in the order of time: one lane and rank of the queue or of what has ended,
// or what expires.
#pragma once

#include "store/queue_scan.hpp"

namespace store {

class RunScan {
public:
    // Of a table whose key is (lane, rank, time, job): `until` is the last time that counts.
    RunScan(const KeyTable &table, std::int32_t lane, std::int16_t rank, TimestampTz until);
    // Of a table whose key is (time, job).
    RunScan(const KeyTable &table, TimestampTz until);
    ~RunScan() { index_endscan(scan_); }
    RunScan(const RunScan &) = delete;
    RunScan &operator=(const RunScan &) = delete;

    // The next row under the active snapshot of the beginning, or null.
    const Candidate *next();

private:
    Candidate current_ = {};
    int time_column_;
    pg::Slot slot_;
    IndexScanDesc scan_;
};

} // namespace store
