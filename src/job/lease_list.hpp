// What the verbs for many leases do with their array: job_finish_many, job_heartbeat_many.
//
// What is wrong with one element is that element's answer, and the others take effect: a worker sends what it has, and
// one result that is too large must not make it lose the leases of the rest. What an element is, is read in one
// subtransaction for all of them, since only the abort of one undoes an error of an input function of Postgres's; each
// that cannot be read costs one more.
#pragma once

#include <algorithm>

#include "job/lease.hpp"
#include "pg/subtransaction.hpp"

namespace job {

// Whether an error is about what was given: 22xxx or PT413.
bool is_of_element(const ErrorData *error);

// The "id" of an element that could not be read as a whole, if that can be.
pg::Nullable id_of_element(const JsonbValue &element);

// Tells the caller what the answer has no column for: the first ten times in a call.
class Notices {
public:
    void tell(const char *message);

private:
    int told_ = 0;
};

// Reads all elements, then works on them in order of their job's id, which is the lock order everywhere, and gives one
// row for each, in the order of the array. Verb has:
//   notices                                 a Notices
//   Element                                 has `lease`; initialised as {}
//   fields                                  what an element has beside those of a lease
//   answer_element(Jobs &, Element &)       works on it, and returns a RowBuilder
//   answer_unread(const Element &, id, sqlstate)   the same for one that could not be read
template <class Verb>
class LeaseList {
public:
    LeaseList(Verb &verb, JsonbContainer *list, const char *argument, pg::RowSink &sink)
        : verb_(verb), argument_(argument), sink_(sink), count_(JsonContainerSize(list)),
          items_(static_cast<Item *>(pg::allocate(sizeof(Item) * count_)))
    {
        pg::each_element(list, [&](const JsonbValue &value, int position) {
            items_[position - 1] = {
                .element = {}, .value = value, .position = position, .is_read = false, .row = nullptr};
        });
    }

    void run(store::Jobs &jobs)
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
            context_.position = 0;
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
            // The same job twice: the second sees what the first did.
            if (previous != nullptr && store::same_id(previous, job))
                jobs.renew_snapshot();
            previous = job;
            pg::RowMemory::Use use(memory_);
            keep(**item, verb_.answer_element(jobs, (*item)->element));
        }
    }

    void keep(Item &item, const pg::RowBuilder &answer)
    {
        pg::InMemory lasting(answers_);
        item.row = sink_.form(answer);
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
