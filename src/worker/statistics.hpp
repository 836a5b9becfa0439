// What the worker does for the statistics of job types (shared/statistics.hpp), as two chores, so that each goes on
// while the other can't: it adds what was written down before the server started, and writes down what has changed; and
// it counts the queue for types whose depth nobody knows.
//
//   What happens                                What becomes of the statistics
//   the server is stopped, not at once          written down when the worker ends; all is there after the next start
//   ... while the worker is in a piece, or      what came since they were written last is lost:
//   a crash, an immediate stop                  jobs_ext.statistics_interval at most
//   the worker is told to end once more, while  that is not heard: it has two seconds, and writes all in one
//   it writes them down at its end              transaction, or nothing
//   the worker alone ends                       nothing: shared memory stays
//   no worker serves the database               they are neither written down nor is a long queue counted
//   DROP EXTENSION                              gone with the commit, also where another extension is made in the same
//                                               transaction
//   DROP DATABASE                               gone: the launcher frees them
#pragma once

#include "worker/chore.hpp"

namespace worker {

class Statistics {
public:
    // One in a process: save_at_end() finds it.
    explicit Statistics(Chore chore);

    // A slice of what is to be done.
    void do_piece(Agenda &agenda);
    void save();

private:
    bool load();

    Chore chore_;
    Oid loaded_for_ = InvalidOid; // the table of lanes for which they were loaded
    pg::Moment saved_at_ = pg::moment();
};

// Writes down what has changed, if this process keeps statistics. To be called when nothing is left but to end the
// process: it does not hear SIGTERM any more.
void save_at_end();

class Depths {
public:
    explicit Depths(Chore chore) : chore_(chore) {}

    // A slice of what is to be counted.
    void do_piece(Agenda &agenda);

private:
    Chore chore_;
    std::uint64_t doubts_ = 0; // shared::statistics::count_doubts(), when the depths were known
};

} // namespace worker
