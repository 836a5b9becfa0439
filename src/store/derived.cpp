#include "store/derived.hpp"

#include "shared/at_commit.hpp"
#include "shared/sleepers.hpp"
#include "store/built.hpp"
#include "store/types.hpp"

namespace store {

namespace {

using logic::Status;

Keys keys_of(const Row *row) { return row == nullptr ? Keys{} : keys_of(*row); }

// Of the lane of a waiting job; the running ones are nobody's to claim.
void note_lane(const Row *row, const std::optional<Key> &key, bool gone)
{
    if (!key)
        return;
    const std::int32_t lane = DatumGetInt32(key->value[0]);
    const TimestampTz due_at = as_time(key->value[2]);
    if (lane == logic::running_lane) {
        if (!gone)
            shared::notes::note_due(due_at);
    } else if (gone)
        shared::notes::job_taken(lane);
    else if (!shared::sleepers::is_anybody_asleep() || !types::settings_of(row->text(Column::job_type)).paused)
        // Of a paused type nobody can claim it; the end of the pause wakes everybody.
        shared::notes::job_waits(lane, due_at);
}

// What others are to hear of the change, when it is theirs to see.
void note_change(const Row *before, const Row *after, const Keys &was, const Keys &is)
{
    const std::optional<Key> &from = was[DerivedTable::queue], &to = is[DerivedTable::queue];
    if (!from || !to || !same_key(*from, *to)) {
        note_lane(before, from, true);
        note_lane(after, to, false);
    }
    if (const std::optional<Key> &expiring = is[DerivedTable::expiring])
        shared::notes::note_due(as_time(expiring->value[0]));
    if (before != nullptr && !logic::has_ended(before->status()) &&
        (after == nullptr || logic::has_ended(after->status())))
        shared::notes::job_ended(before->id());
}

} // namespace

namespace {

using LaneOf = std::int32_t(std::string_view type);

std::int32_t lane_if_made(std::string_view type)
{
    constexpr std::int32_t none = -1; // of no key
    return lanes::find_lane_of(type).value_or(none);
}

std::optional<logic::QueueKey> queue_key(const Row &row, LaneOf lane_of)
{
    const Status status = row.status();
    const std::int32_t lane = logic::waiting(status) ? lane_of(row.text(Column::job_type)) : logic::running_lane;
    return logic::make_queue_key(status, lane, row.number(Column::priority), *row.time(Column::run_at),
                                 row.time(Column::lease_expires_at), row.time(Column::timeout_at));
}

std::optional<logic::QueueKey> ended_key(const Row &row, LaneOf lane_of)
{
    const Status status = row.status();
    if (!logic::has_ended(status))
        return std::nullopt;
    return logic::make_ended_key(status, lane_of(row.text(Column::job_type)), row.time(Column::finished_at));
}

} // namespace

std::optional<logic::QueueKey> queue_key(const Row &row) { return queue_key(row, lanes::of); }

std::optional<logic::QueueKey> ended_key(const Row &row) { return ended_key(row, lanes::of); }

bool may_expire(const Row &row)
{
    const Status status = row.status();
    return row.has(Column::expires_at) && row.number(Column::attempt) == 0 &&
           (logic::waiting(status) || status == Status::paused);
}

const char *name_of_derived(DerivedTable table)
{
    static constexpr const char *names[] = {"queue", "failed", "expiring", "ended"};
    return names[static_cast<int>(table)];
}

namespace {

Keys keys_of(const Row &row, LaneOf lane_of)
{
    Keys keys;
    if (auto key = queue_key(row, lane_of))
        keys[DerivedTable::queue] = queue_key_of(*key, row.id());
    if (row.status() == Status::failed)
        keys[DerivedTable::failed] = instant_key_of(*row.time(Column::created_at), row.id());
    if (may_expire(row))
        keys[DerivedTable::expiring] = instant_key_of(*row.time(Column::expires_at), row.id());
    if (auto key = ended_key(row, lane_of))
        keys[DerivedTable::ended] = queue_key_of(*key, row.id());
    return keys;
}

} // namespace

Keys keys_of(const Row &row) { return keys_of(row, lanes::of); }

Keys keys_to_compare(const Row &row) { return keys_of(row, lane_if_made); }

void Derived::follow(const Row *before, const Row *after, ItemPointer queue_row)
{
    const Keys was = keys_of(before);
    const Keys is = keys_of(after);
    note_change(before, after, was, is);
    for (const DerivedTable table : derived_tables) {
        const std::optional<Key> &from = was[table], &to = is[table];
        const bool place_is_known = table == DerivedTable::queue && queue_row != nullptr;
        if (place_is_known && to)
            open(table).move_at(queue_row, *to);
        else if (place_is_known)
            open(table).remove_at(queue_row);
        else if (from && to && !same_key(*from, *to))
            open(table).move(*from, *to);
        else if (from && !to)
            open(table).remove(*from);
        else if (to && !from)
            open(table).put(*to);
    }
}

void Derived::unlock_when_closed()
{
    for (std::optional<KeyTable> *table : {&queue_, &failed_, &expiring_, &ended_})
        if (*table)
            (*table)->unlock_when_closed();
}

void Derived::add(const Row &row)
{
    const Keys keys = keys_of(row);
    note_change(nullptr, &row, {}, keys);
    for (const DerivedTable table : derived_tables)
        if (keys[table])
            open(table).insert(*keys[table]);
}

void Derived::restore(const Row &row, DerivedTable table)
{
    Keys missing;
    missing[table] = keys_of(row)[table];
    if (!missing[table])
        return;
    note_change(nullptr, &row, {}, missing);
    open(table).put(*missing[table]);
}

namespace {

bool may_remove_orphans() { return !IsolationUsesXactSnapshot(); }

} // namespace

void Derived::remove_orphan(KeyTable &table, const Key &key)
{
    if (may_remove_orphans())
        table.remove(key);
}

bool Derived::remove_orphan_at(KeyTable &table, const ItemPointerData &place, const Key &key)
{
    return may_remove_orphans() && table.remove_if_at(place, key);
}

KeyTable &Derived::open(std::optional<KeyTable> &table, const PrivateTable &which)
{
    if (table)
        return *table;
    if (derived_were_built_since_snapshot(tables_))
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent rebuild of the queue")));
    pg::InMemory long_lived(memory_);
    return table.emplace(which);
}

KeyTable &Derived::open(DerivedTable table)
{
    switch (table) {
    case DerivedTable::queue:
        return queue();
    case DerivedTable::failed:
        return failed();
    case DerivedTable::expiring:
        return expiring();
    case DerivedTable::ended:
        break;
    }
    return ended();
}

KeyTable &Derived::queue() { return open(queue_, tables_.queue); }
KeyTable &Derived::failed() { return open(failed_, tables_.failed); }
KeyTable &Derived::expiring() { return open(expiring_, tables_.expiring); }
KeyTable &Derived::ended() { return open(ended_, tables_.ended); }

} // namespace store
