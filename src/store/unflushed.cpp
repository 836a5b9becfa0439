#include "store/unflushed.hpp"

#include "settings.hpp"

namespace store::unflushed {

namespace {

XLogRecPtr end_of_ours = InvalidXLogRecPtr; // in this transaction
bool only_ours = true;
bool any_of_ours = false;

void forget()
{
    end_of_ours = InvalidXLogRecPtr;
    only_ours = true;
    any_of_ours = false;
}

void transaction_event(XactEvent event, void *)
{
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        if (any_of_ours && only_ours && XactLastRecEnd == end_of_ours && settings::async_claim &&
            settings::preloaded && synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
            set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                              false);
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
        forget();
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

void watch() { RegisterXactCallback(transaction_event, nullptr); }

} // namespace store::unflushed
