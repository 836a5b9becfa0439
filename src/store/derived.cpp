#include "store/derived.hpp"

#include "shared/at_commit.hpp"
#include "store/built.hpp"
#include "store/lanes.hpp"

namespace store {

namespace {

using logic::Status;

using LaneOf = std::int32_t(std::string_view type);

// See keys_to_compare(). Lanes are positive: 0 is the running lane, and the others come from a sequence.
std::int32_t lane_if_made(std::string_view type)
{
    constexpr std::int32_t none = -1; // of no key
    return lanes::find_lane_of(type).value_or(none);
}

std::optional<logic::QueueKey> queue_key(const Row &row, LaneOf lane_of)
{
    const Status status = row.status();
    // The lane is asked for only where it is part of the key: a paused job must not make a lane, or wait for one.
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
           (logic::waiting(status) || logic::held(status));
}

bool is_unended_child(const Row &row) { return row.has(Column::parent_job_id) && !logic::has_ended(row.status()); }

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
    if (row.status() == Status::blocked)
        keys[DerivedTable::blocked] = instant_key_of(*row.time(Column::created_at), row.id());
    if (row.status() == Status::paused)
        keys[DerivedTable::paused] = instant_key_of(*row.time(Column::created_at), row.id());
    if (is_unended_child(row))
        keys[DerivedTable::children] = child_key_of(DatumGetUUIDP(row[Column::parent_job_id]), row.id());
    return keys;
}

} // namespace

Keys keys_of(const Row &row) { return keys_of(row, lanes::of); }

Keys keys_to_compare(const Row &row) { return keys_of(row, lane_if_made); }

void Derived::move(const Keys &was, const Keys &is, ItemPointer queue_row)
{
    for (const DerivedTable table : derived_tables) {
        const std::optional<Key> &from = was[table], &to = is[table];
        const bool place_is_known = table == DerivedTable::queue && queue_row != nullptr;
        // A claim read the queue's row under this snapshot and then locked the job, so it is still there: no search.
        if (place_is_known && to)
            open(table).move_at(queue_row, *from, *to);
        else if (place_is_known)
            open(table).remove_at(queue_row, *from);
        else if (from && to && !same_key(*from, *to))
            open(table).move_key(*from, *to);
        else if (from && !to)
            open(table).remove(*from);
        else if (to && !from)
            open(table).ensure(*to);
    }
}

void Derived::insert(const Keys &keys)
{
    for (const DerivedTable table : derived_tables)
        if (keys[table])
            open(table).insert(*keys[table]);
}

void Derived::insert(std::span<const Keys> keys)
{
    std::array<Key, pg::Slots::most> in_table;
    for (const DerivedTable table : derived_tables) {
        std::size_t count = 0;
        for (const Keys &of_job : keys)
            if (of_job[table])
                in_table[count++] = *of_job[table];
        if (count > 0)
            open(table).insert(std::span(in_table).first(count));
    }
}

void Derived::unlock_when_closed()
{
    for (std::optional<KeyTable> &table : open_)
        if (table)
            table->unlock_when_closed();
}

namespace {

// False at REPEATABLE READ and above, whose snapshot may be older than a build in this very transaction.
bool may_remove_orphans() { return !IsolationUsesXactSnapshot(); }

} // namespace

void Derived::remove_orphan(KeyTable &table, const Key &key)
{
    if (may_remove_orphans())
        remove_wrong(table, key);
}

bool Derived::remove_orphan_at(KeyTable &table, const ItemPointerData &place, const Key &key)
{
    return may_remove_orphans() && remove_wrong_at(table, place, key);
}

void Derived::remove_wrong(KeyTable &table, const Key &key)
{
    if (table.remove(key))
        shared::notes::derived_mended();
}

bool Derived::remove_wrong_at(KeyTable &table, const ItemPointerData &place, const Key &key)
{
    const bool is_removed = table.remove_if_at(place, key);
    if (is_removed)
        shared::notes::derived_mended();
    return is_removed;
}

KeyTable &Derived::open(DerivedTable which)
{
    std::optional<KeyTable> &table = open_[static_cast<std::size_t>(which)];
    if (table)
        return *table;
    if (derived_were_built_since_snapshot())
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent rebuild of the queue")));
    pg::InMemory long_lived(memory_); // the first use may be in the memory of a row
    return table.emplace(which);
}

} // namespace store
