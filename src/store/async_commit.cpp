#include "store/async_commit.hpp"

#include "settings.hpp"

namespace store::unflushed {

namespace {

// All of this transaction. Postgres sets XactLastRecEnd back to 0, which is InvalidXLogRecPtr, when a transaction ends:
// so the first bracket of a transaction that wrote nothing before finds the two equal.
XLogRecPtr end_of_ours = InvalidXLogRecPtr; // XactLastRecEnd at the last close()
bool only_ours = true;
bool any_of_ours = false;
std::optional<int> asked_for; // synchronous_commit, while this transaction's is lower

// Without preloading it never applies: a claim is flushed there, whatever jobs_ext.async_claim says, as the setting's
// description promises. A session that asked for synchronous_commit = off has nothing to be lowered.
bool need_not_wait()
{
    return any_of_ours && only_ours && XactLastRecEnd == end_of_ours && settings::async_claim && settings::preloaded &&
           synchronous_commit > SYNCHRONOUS_COMMIT_OFF;
}

// At the end of the transaction, however it ends: an error after PRE_COMMIT, such as a serialization failure, arrives
// here as an abort. Before AtEOXact_GUC(), which takes back a SET LOCAL, so this puts back what that expects to find.
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
    // After deferred triggers have fired (CommitTransaction), so what they wrote is counted.
    case XACT_EVENT_PRE_COMMIT:
        // The variable itself, not set_config_option(): that would make AtEOXact_GUC() walk over all settings, at the
        // end of each claim. RecordTransactionCommit() and SyncRepWaitForLSN() read the variable.
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
