// Work of one kind, done in pieces: each in a transaction of its own. What goes wrong with it is put on record, and the
// agenda says when it is tried again.
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

    // False: it rests, or it went wrong and is undone.
    template <class Work>
    bool run(Work work)
    {
        return may_begin() && has_passed(pg::in_transaction(longest_ms(), work));
    }

    void rest(long milliseconds) { turn().rest(milliseconds * logic::agenda::millisecond, pg::moment().microseconds); }
    logic::agenda::Turn &turn() { return agenda_.turn(kind_); }
    // For people.
    const char *doing() const;

private:
    // How long a statement may take before it is ended, which may be a trigger of the user's; 0: for ever.
    int longest_ms() const { return kind_ == ChoreKind::presence ? 0 : settings::longest_piece; }
    bool may_begin();
    bool has_passed(ErrorData *error);

    Agenda &agenda_;
    Report &report_;
    ChoreKind kind_;
};

} // namespace worker
