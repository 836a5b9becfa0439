// Reads a derived table in the order of time: one lane and rank of queue or ended, or all of expiring. As
// queue_scan.hpp says, what it finds is a proposal: the caller locks the row of `jobs` and compares before it acts.
#pragma once

#include "store/queue_scan.hpp"

namespace store {

class RunScan {
public:
    // Both read under the active snapshot, which must stay active until the scan's end.
    // Of a table whose key is (lane, rank, time, job): `until` is the last time that counts.
    RunScan(const KeyTable &table, std::int32_t lane, std::int16_t rank, TimestampTz until);
    // Of a table whose key is (time, job).
    RunScan(const KeyTable &table, TimestampTz until);
    ~RunScan() { index_endscan(scan_); }
    RunScan(const RunScan &) = delete;
    RunScan &operator=(const RunScan &) = delete;

    // The next row, or null where there is none. Overwritten by the next call. Lets a cancel in.
    const Candidate *next();

private:
    Candidate current_ = {};
    int time_column_;
    pg::Slot slot_;
    IndexScanDesc scan_;
};

} // namespace store
