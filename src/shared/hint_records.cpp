#include "shared/hint_records.hpp"

#include "settings.hpp"

namespace shared::hints {

namespace {

using Records = LaneRecords<Content, Common>;

std::size_t size_of_records() { return Records::size_of(settings::max_hinted_lanes); }
void initialise(void *memory)
{
    pg_atomic_init_u64(&Records::initialise(memory, settings::max_hinted_lanes).lowerings, 1);
}

// One for each record, by its number. A segment begins with a line of the processor's cache: none lies in two.
static_assert(PG_CACHE_LINE_SIZE % sizeof(Head) == 0);

std::size_t size_of_heads() { return mul_size(sizeof(Head), static_cast<Size>(settings::max_hinted_lanes)); }
void initialise_heads(void *) {}
constinit Segment<Head> heads({.name = "JobsHintHeads", .size = size_of_heads, .initialise = initialise_heads});

// A record that nobody has read since the hand came by last; none: all that it came to were in use.
RecordNumber victim()
{
    constexpr int most = 32;
    RecordNumber &hand = records.common().hand;
    for (int i = 0; i < most; ++i) {
        const RecordNumber number = hand;
        hand = (number + 1) % records.count();
        if (!head_at(number).take_read())
            return number;
    }
    return no_record;
}

} // namespace

constinit Records records({.name = "JobsHints", .locks = 1, .size = size_of_records, .initialise = initialise},
                          settings::max_hinted_lanes);

void Head::begin()
{
    write({});
    pg_atomic_fetch_add_u32(&owner_, 2);
}

void Head::write(const logic::LaneHead &head)
{
    pg_atomic_write_u32(&version_, pg_atomic_read_u32(&version_) + 1);
    pg_write_barrier();
    pg_atomic_write_u64(&until_, static_cast<std::uint64_t>(head.until));
    pg_atomic_write_u64(&time_, head.first.time);
    pg_atomic_write_u64(&id_, head.first.id);
    pg_write_barrier();
    pg_atomic_write_u32(&version_, pg_atomic_read_u32(&version_) + 1);
}

void request_records()
{
    heads.request();
    records.request();
}

Head &head_at(RecordNumber number) { return (&*heads)[number]; }

logic::LoweringCount next_count() { return pg_atomic_add_fetch_u64(&records.common().lowerings, 1); }

bool make(const Lane &lane)
{
    const auto begin = [](Content &content, RecordNumber number) {
        content.hints.begin(next_count());
        content.healing = {};
        content.healing.begin_anew();
        head_at(number).begin();
    };
    return records.make(lane, begin, victim) != no_record;
}

} // namespace shared::hints
