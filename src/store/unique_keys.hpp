// What is unique in `jobs`: id and job_id over all, job_key within its organisation. Each is kept by an index of its
// own over columns that never change after the insert; the key is named by its last column.
//
// That a tenant neither meets nor waits for the job_key of another follows from this alone: the organisation is the
// first column of the key, so the keys of two organisations are in different places of the index.
#pragma once

#include "pg/heap.hpp"
#include "store/row.hpp"

namespace store {

inline constexpr Column last_columns_of_keys[] = {Column::id, Column::job_id, Column::job_key};

// The numbers of the columns of one of them, for as long as `jobs` is open.
class KeyOfJobs {
public:
    KeyOfJobs(Column last, const ColumnNumbers &numbers) : where_set_(last == Column::job_key)
    {
        if (last == Column::job_key)
            columns_[count_++] = numbers[index_of(Column::organisation_id)];
        columns_[count_++] = numbers[index_of(last)];
    }

    // Points into this object.
    pg::UniqueKey key() const { return {std::span(columns_.data(), count_), where_set_}; }

private:
    std::array<AttrNumber, 2> columns_ = {};
    std::size_t count_ = 0;
    bool where_set_;
};

} // namespace store
