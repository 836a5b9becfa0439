// What the verbs for many leases do with their array: job_finish_many, job_heartbeat_many.
//
// What is wrong with one element is that element's answer, and the others take effect: a worker sends what it has, and
// one result that is too large must not make it lose the leases of the rest. Elements are read in a subtransaction,
// because an input function of Postgres's raises an error for what it cannot read, and after an error only the abort of
// a subtransaction lets the call go on. All elements share one; each that cannot be read costs one more.
//
// Two calls with the same jobs in different orders do not wait for each other, because both lock the jobs in the order
// of their ids, as upkeep does. An error that is no element's own, such as a cancel, 40001 or one that a trigger of the
// user's raises, undoes the whole call.
#pragma once

#include <algorithm>

#include "job/lease.hpp"
#include "pg/subtransaction.hpp"

namespace job {

// Whether an error is about what the caller gave, and so the element's answer: SQLSTATE 22xxx or PT413. All others are
// raised, because they would befall the next element as well.
bool is_of_element(const ErrorData *error);

// The "id" of an element that could not be read as a whole, for its answer; null where there is none or it is no uuid.
// Takes a subtransaction, as above.
pg::Nullable id_of_element(const JsonbValue &element);

// Tells the caller by a NOTICE what the answer has no column for. Ten in a call, then one that says there are more: an
// array may have 100 000 elements, and each may be wrong in the same way.
class Notices {
public:
    void tell(const char *message);

private:
    int told_ = 0;
};

// Reads all elements, then works on them in order of their job's id, which is the lock order everywhere, and gives one
// row for each, in the order of the array. Verb has:
//   notices                                        a Notices
//   Element                                        has `lease`; initialised as {}
//   fields                                         what an element has beside those of a lease
//   answer_element(Jobs &, Element &)              works on it, and returns a RowBuilder
//   answer_unread(const Element &, id, sqlstate)   returns the same for an element that could not be read; it may be
//                                                  filled in part
template <class Verb>
class LeaseList {
public:
    LeaseList(Verb &verb, JsonbContainer *list, const char *argument, pg::RowSink &sink)
        : verb_(verb), argument_(argument), sink_(sink), count_(JsonContainerSize(list)),
          items_(static_cast<Item *>(pg::allocate(sizeof(Item) * count_)))
    {
        // Values point into the array, which outlives the call, so they may be read in any order.
        pg::each_element(list, [&](const JsonbValue &value, int position) {
            items_[position - 1] = {
                .element = {}, .value = value, .position = position, .is_read = false, .row = nullptr};
        });
    }

    void answer_all(store::Jobs &jobs)
    {
        read_elements();
        answer_elements(jobs);
        for (std::size_t i = 0; i < count_; ++i)
            sink_.put(items_[i].row);
    }

private:
    struct Item {
        typename Verb::Element element;
        JsonbValue value;
        int position;
        bool is_read;
        HeapTuple row;
    };

    // Each turn of the outer loop begins where the subtransaction before failed, behind the element that made it fail.
    // What was read before stays: it is in memory of the caller, and reading writes to no table. `next` is a variable
    // that the lambda holds by reference, in memory, so a longjmp does not undo it.
    void read_elements()
    {
        for (std::size_t next = 0; next < count_; ++next) {
            ErrorData *error = pg::in_subtransaction(
                [&] {
                    for (; next < count_; ++next) {
                        CHECK_FOR_INTERRUPTS();
                        context_.position = items_[next].position;
                        typename Verb::Element &element = items_[next].element;
                        call::read_object<lease_fields, Verb::fields>(items_[next].value, "an element", nullptr,
                                                                      element.lease, element);
                        items_[next].is_read = true;
                    }
                },
                [](const ErrorData *raised) { return !is_of_element(raised); });
            if (error == nullptr)
                return;
            context_.position = 0; // what follows is not that element's error any more
            verb_.notices.tell(error->message);
            Item &item = items_[next];
            keep(item, verb_.answer_unread(item.element, id_of_element(item.value), error->sqlerrcode));
            FreeErrorData(error);
        }
    }

    void answer_elements(store::Jobs &jobs)
    {
        auto order = static_cast<Item **>(pg::allocate(sizeof(Item *) * count_));
        Item **end = order;
        for (std::size_t i = 0; i < count_; ++i)
            if (items_[i].is_read)
                *end++ = &items_[i];
        std::sort(order, end, [](const Item *a, const Item *b) {
            const int difference = std::memcmp(&a->element.lease.job, &b->element.lease.job, UUID_LEN);
            return difference != 0 ? difference < 0 : a->position < b->position;
        });
        const pg_uuid_t *previous = nullptr;
        for (Item **item = order; item != end; ++item) {
            CHECK_FOR_INTERRUPTS();
            context_.position = (*item)->position;
            const pg_uuid_t *job = &(*item)->element.lease.job;
            // The same job twice: the second element must see what the first one wrote, in this same command.
            if (previous != nullptr && store::same_id(previous, job))
                jobs.renew_snapshot();
            previous = job;
            pg::RowMemory::Use use(memory_);
            keep(**item, verb_.answer_element(jobs, (*item)->element));
        }
    }

    // The answer must outlive the element: answers come in the order of the jobs' ids, and go back in that of the
    // array.
    void keep(Item &item, const pg::RowBuilder &answer)
    {
        pg::InMemory lasting(answers_);
        item.row = sink_.form_row(answer);
    }

    Verb &verb_;
    const char *argument_;
    pg::RowSink &sink_;
    std::size_t count_;
    Item *items_;
    pg::DenseMemory answers_;
    pg::RowMemory memory_;
    pg::ElementContext context_{argument_};
};

} // namespace job
