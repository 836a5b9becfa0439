// What every verb of a worker begins with: (id, lease_id), one pair or a list of them.
#pragma once

#include <algorithm>

#include "pg/json.hpp"
#include "store/jobs.hpp"
#include "verbs/arguments.hpp"

namespace verbs {

struct Lease {
    pg_uuid_t job;
    pg_uuid_t id;
};

// Arguments 0 and 1.
Lease lease_argument(FunctionCallInfo fcinfo);

// Whether the job runs under this lease. One that has run out and was not taken away yet still counts: nobody else
// has the job.
bool is_held(const store::Row &job, const Lease &lease);

// Whether this was the job's last lease, running or not.
bool was_last(const store::Row &job, const Lease &lease);

JsonbContainer *array_argument(FunctionCallInfo fcinfo, int number, const char *argument);

// Collects "id" and "lease_id" of a JSON object.
class LeaseReader {
public:
    explicit LeaseReader(const JsonbValue &element);
    bool take(const pg::JsonMember &member);
    [[noreturn]] void unknown_key(const pg::JsonMember &member) const;
    Lease get() const;

private:
    pg::Nullable job_, lease_;
};

// Reads all elements of an array, then works on them in order of their job's id, which is the lock order everywhere,
// and gives the rows in the order of the array. `read(const JsonbValue &) -> Element`, Element has `lease`;
// `work(Element &, emit)` calls `emit(values, nulls, columns)` once.
template <class Element, class Read, class Work>
void in_order_of_id(JsonbContainer *list, const char *argument, Read read, pg::RowSink &sink, store::Jobs &jobs,
                    Work work)
{
    struct Item {
        Element element;
        int position;
        HeapTuple row;
    };
    const int count = static_cast<int>(JsonContainerSize(list));
    auto items = static_cast<Item *>(pg::allocate(sizeof(Item) * count));
    auto order = static_cast<Item **>(pg::allocate(sizeof(Item *) * count));
    pg::ElementContext context(argument);
    pg::each_element(list, [&](const JsonbValue &value, int position) {
        context.position = position;
        Item *item = &items[position - 1];
        item->element = read(value);
        item->position = position;
        order[position - 1] = item;
    });

    std::sort(order, order + count, [](const Item *a, const Item *b) {
        const int difference = std::memcmp(&a->element.lease.job, &b->element.lease.job, UUID_LEN);
        return difference != 0 ? difference < 0 : a->position < b->position;
    });

    MemoryContext rows = CurrentMemoryContext;
    pg::RowMemory memory;
    const pg_uuid_t *previous = nullptr;
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        Item *item = order[i];
        context.position = item->position;
        // The same job twice: the second sees what the first did.
        if (previous != nullptr && store::same(previous, &item->element.lease.job))
            jobs.renew_snapshot();
        previous = &item->element.lease.job;
        pg::RowMemory::Use use(memory);
        work(item->element, [&](Datum *values, bool *nulls, [[maybe_unused]] int columns) {
            Assert(columns == sink.columns());
            MemoryContext before = MemoryContextSwitchTo(rows);
            item->row = sink.form(values, nulls);
            MemoryContextSwitchTo(before);
        });
    }
    for (int i = 0; i < count; ++i)
        sink.put(items[i].row);
}

} // namespace verbs
