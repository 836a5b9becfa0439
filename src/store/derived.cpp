#include "store/derived.hpp"

#include "shared/notes.hpp"
#include "shared/sleepers.hpp"
#include "store/queue_state.hpp"
#include "store/types.hpp"

namespace store {

namespace {

using logic::Status;

struct Keys {
    std::optional<Key> queue, failed, expiring, ended;
};

Keys keys_of(const Row *row)
{
    Keys keys;
    if (row == nullptr)
        return keys;
    if (auto key = queue_key(*row))
        keys.queue = queue_key_of(*key, row->id());
    const Status status = row->status();
    if (status == Status::failed)
        keys.failed = instant_key_of(*row->time(Column::created_at), row->id());
    if (may_expire(*row))
        keys.expiring = instant_key_of(*row->time(Column::expires_at), row->id());
    if (auto key = ended_key(*row))
        keys.ended = queue_key_of(*key, row->id());
    return keys;
}

bool same_key(const Key &a, const Key &b)
{
    for (int i = 0; i < a.columns - 1; ++i)
        if (a.value[i] != b.value[i])
            return false;
    return same(DatumGetUUIDP(a.value[a.columns - 1]), DatumGetUUIDP(b.value[b.columns - 1]));
}

template <class Open>
void follow_one(const std::optional<Key> &before, const std::optional<Key> &after, Open open)
{
    if (before && after && !same_key(*before, *after))
        open().move(*before, *after);
    else if (before && !after)
        open().remove(*before);
    else if (after && !before)
        open().put(*after);
}

// Of the lane of a waiting job; the running ones are nobody's to claim.
void note_lane(const Row *row, const std::optional<Key> &key, bool gone)
{
    if (!key)
        return;
    const std::int32_t lane = DatumGetInt32(key->value[0]);
    const TimestampTz due_at = as_time(key->value[2]);
    if (lane == logic::running_lane) {
        if (!gone)
            shared::notes::due(due_at);
    } else if (gone)
        shared::notes::job_taken(lane);
    else if (!shared::sleepers::any() || !types::settings_of(row->text(Column::job_type)).paused)
        // Of a paused type nobody can claim it; the end of the pause wakes everybody.
        shared::notes::job_waits(lane, due_at);
}

// What others are to hear of the change, when it is theirs to see.
void note(const Row *before, const Row *after, const Keys &was, const Keys &is)
{
    if (!was.queue || !is.queue || !same_key(*was.queue, *is.queue)) {
        note_lane(before, was.queue, true);
        note_lane(after, is.queue, false);
    }
    if (is.expiring)
        shared::notes::due(as_time(is.expiring->value[0]));
    if (before != nullptr && !logic::ended(before->status()) && (after == nullptr || logic::ended(after->status())))
        shared::notes::job_ended(before->id());
}

} // namespace

std::optional<logic::QueueKey> queue_key(const Row &row)
{
    const Status status = row.status();
    const std::int32_t lane = logic::waiting(status) ? lanes::of(row.text(Column::job_type)) : logic::running_lane;
    return logic::queue_key(status, lane, row.number(Column::priority), *row.time(Column::run_at),
                            row.time(Column::lease_expires_at), row.time(Column::timeout_at));
}

std::optional<logic::QueueKey> ended_key(const Row &row)
{
    const Status status = row.status();
    if (!logic::ended(status))
        return std::nullopt;
    return logic::ended_key(status, lanes::of(row.text(Column::job_type)), row.time(Column::finished_at));
}

bool may_expire(const Row &row)
{
    const Status status = row.status();
    return row.has(Column::expires_at) && row.number(Column::attempt) == 0 &&
           (logic::waiting(status) || status == Status::paused);
}

void Derived::follow(const Row *before, const Row *after, ItemPointer queue_row)
{
    const Keys was = keys_of(before);
    const Keys is = keys_of(after);
    note(before, after, was, is);
    if (queue_row != nullptr && is.queue)
        queue().move_at(queue_row, *is.queue);
    else if (queue_row != nullptr)
        queue().remove_at(queue_row);
    else
        follow_one(was.queue, is.queue, [&]() -> KeyTable & { return queue(); });
    follow_one(was.failed, is.failed, [&]() -> KeyTable & { return failed(); });
    follow_one(was.expiring, is.expiring, [&]() -> KeyTable & { return expiring(); });
    follow_one(was.ended, is.ended, [&]() -> KeyTable & { return ended(); });
}

void Derived::unlock_when_closed()
{
    for (std::optional<KeyTable> *table : {&queue_, &failed_, &expiring_, &ended_})
        if (*table)
            (*table)->unlock_when_closed();
}

void Derived::add(const Row &row)
{
    const Keys keys = keys_of(&row);
    note(nullptr, &row, {}, keys);
    if (keys.queue)
        queue().insert(*keys.queue);
    if (keys.failed)
        failed().insert(*keys.failed);
    if (keys.expiring)
        expiring().insert(*keys.expiring);
    if (keys.ended)
        ended().insert(*keys.ended);
}

void Derived::remove_orphan(KeyTable &table, const Key &key)
{
    if (!IsolationUsesXactSnapshot())
        table.remove(key);
}

KeyTable &Derived::open(std::optional<KeyTable> &table, const PrivateTable &which)
{
    if (table)
        return *table;
    if (queue_state::built_since_snapshot(tables_))
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent rebuild of the queue")));
    pg::InMemory long_lived(memory_);
    return table.emplace(which);
}

KeyTable &Derived::queue() { return open(queue_, tables_.queue); }
KeyTable &Derived::failed() { return open(failed_, tables_.failed); }
KeyTable &Derived::expiring() { return open(expiring_, tables_.expiring); }
KeyTable &Derived::ended() { return open(ended_, tables_.ended); }

} // namespace store
