// The statistics of job types (shared/statistics.hpp) as a chore of the worker: it adds what was written down before
// the server started, counts the queue for types whose depth nobody knows, and writes down what has changed.
//
//   What happens                                What becomes of the statistics
//   the server is stopped, not at once          written down when the worker ends; all is there after the next start
//   ... while the worker is in a piece, or      what came since they were written last is lost:
//   a crash, an immediate stop                  jobs_ext.statistics_interval at most
//   the worker alone ends                       nothing: shared memory stays
//   no worker serves the database               they are neither written down nor is a long queue counted
//   DROP EXTENSION, DROP DATABASE               they are gone (the launcher frees those of a database that is gone)
#pragma once

#include "worker/chore.hpp"

namespace worker {

class Statistics {
public:
    // One in a process: save_statistics() finds it.
    explicit Statistics(Chore chore);

    // A slice of what is to be done.
    void do_piece(Agenda &agenda);
    void save();

private:
    bool count_depths(bool &more);

    Chore chore_;
    bool loaded_ = false;
    std::uint64_t doubts_ = 0; // shared::statistics::count_doubts(), when the depths were known
    pg::Moment saved_at_ = pg::moment();
};

// Writes down what has changed, if this process keeps statistics. Before a worker leaves.
void save_statistics();

} // namespace worker
