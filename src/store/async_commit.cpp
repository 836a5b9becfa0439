#include "store/async_commit.hpp"

#include "settings.hpp"

namespace store::unflushed {

namespace {

XLogRecPtr end_of_ours = InvalidXLogRecPtr; // in this transaction
bool only_ours = true;
bool any_of_ours = false;
std::optional<int> asked_for; // synchronous_commit, while this transaction's is lower

bool need_not_wait()
{
    return any_of_ours && only_ours && XactLastRecEnd == end_of_ours && settings::async_claim && settings::preloaded &&
           synchronous_commit > SYNCHRONOUS_COMMIT_OFF;
}

void forget_brackets()
{
    end_of_ours = InvalidXLogRecPtr;
    only_ours = true;
    any_of_ours = false;
    if (asked_for)
        synchronous_commit = *asked_for;
    asked_for.reset();
}

void flush_at_end(XactEvent event, void *)
{
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        // Set past the machinery of settings, which would look at every one of them at the end of the transaction.
        if (need_not_wait()) {
            asked_for = synchronous_commit;
            synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
        }
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
        forget_brackets();
        break;
    default:
        break;
    }
}

} // namespace

Bracket::Bracket()
{
    if (XactLastRecEnd != end_of_ours)
        only_ours = false;
}

void Bracket::close()
{
    end_of_ours = XactLastRecEnd;
    any_of_ours = true;
}

void watch_flushes() { RegisterXactCallback(flush_at_end, nullptr); }

} // namespace store::unflushed
