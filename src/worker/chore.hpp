// A chore: one kind of work of the worker, done in pieces, each in a transaction of its own. run() does one piece, puts
// on record what goes wrong with it, and tells the agenda, which says when the chore is tried again.
//
// What stands by while a piece runs: a timer of Postgres's (STATEMENT_TIMEOUT, armed by pg::in_transaction) cancels a
// statement after jobs_ext.longest_piece; the launcher sends SIGTERM when the piece has not ended after twice that,
// which is what ends a user's code that catches cancels. An error of the piece is caught and undone; nothing of the
// piece outlives it (pg::forget_session()).
#pragma once

#include "logic/agenda.hpp"
#include "pg/session.hpp"
#include "pg/subtransaction.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "worker/report.hpp"

namespace worker {

using logic::agenda::Agenda;
using logic::agenda::ChoreKind;

class Chore {
public:
    Chore(Agenda &agenda, Report &report, ChoreKind kind) : agenda_(agenda), report_(report), kind_(kind) {}

    // Does one piece. False: the chore rests, or the piece went wrong and is undone. Raises nothing; ends the process
    // after ten failures in a row that may be its own (logic::agenda::most_failures).
    template <class Work>
    bool run(Work work)
    {
        return may_begin() && has_passed(pg::in_transaction(longest_ms(), work));
    }

    void rest_for(long milliseconds)
    {
        turn().rest(milliseconds * logic::agenda::millisecond, pg::moment().microseconds);
    }
    logic::agenda::Turn &turn() { return agenda_.turn(kind_); }
    // What the chore does, in a constant text for views and log.
    const char *doing() const;

private:
    // How many milliseconds a piece may take before it is cancelled. 0, no limit, for the look at the extension: it may
    // build the derived tables, which takes as long as it takes, and puts off the launcher's limit row by row
    // (store/rebuild.cpp).
    int longest_ms() const { return kind_ == ChoreKind::presence ? 0 : settings::longest_piece; }
    bool may_begin();
    bool has_passed(ErrorData *error);

    Agenda &agenda_;
    Report &report_;
    ChoreKind kind_;
};

} // namespace worker
