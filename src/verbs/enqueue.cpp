// job_enqueue, job_enqueue_many.
//
// A job without a key of the caller's (job_key, job_id) meets nobody: its id is new, its job_id is made of the id, and
// it has no job_key. A job with one meets every other session that uses the same key at the same time:
//
//   What the insert meets                       What follows
//   another transaction is inserting the key    it waits for that transaction's end (insert_unless_taken, ON CONFLICT):
//                                               after a commit the key is taken, after a rollback it inserts
//   a job that has the key                      its state is the answer, or PT409 where it is not what the call says
//                                               or the caller may not know it
//   that job is deleted or archived between     nobody has the key: it inserts again
//   the insert and the look
//   at REPEATABLE READ a job that is newer      40001, since only a new transaction can see it
//   than the snapshot
//   two calls with the same keys in different   both take keys in one order, so that neither waits for the other
//   order                                       (Batch::insert_keyed)
//
// The insert itself is the look for the key: it waits for who is inserting it, and under row security the policies are
// asked before (store/statement.cpp), so that nobody learns of a key, or waits for one, in an organisation in which he
// may not write. So what the call says besides is judged after it (job/new_job.hpp): for a job that is there, never.
//
// An error, a cancel and ROLLBACK TO SAVEPOINT take back all jobs of the call, and the notes of whom to wake for them
// (shared/at_commit.hpp).
#include <algorithm>
#include <cctype>

#include "call/answer.hpp"
#include "call/privileges.hpp"
#include "job/claims.hpp"
#include "job/new_job.hpp"
#include "job/refusal.hpp"
#include "pg/excerpt.hpp"
#include "pg/subtransaction.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"
#include "store/statement.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;

// The keys that the caller gave: a set of job_key and job_id.
using Keys = store::ColumnSet;

Keys keys_of(const job::NewJob &wanted)
{
    return (wanted.job_key ? store::bit(Column::job_key) : 0) | (wanted.job_id ? store::bit(Column::job_id) : 0);
}

struct Found {
    Row job;
    Column by; // the key that it has
};

// The job that has a key of `wanted`; where there are two, job_key decides first. Each look has a new snapshot: the one
// of the insert may be older than the row that it ran into.
std::optional<Found> find_by_keys(Jobs &jobs, const Row &wanted, Keys keys)
{
    for (const Column key : {Column::job_key, Column::job_id}) {
        if ((keys & store::bit(key)) == 0)
            continue;
        jobs.renew_snapshot();
        const text *value = DatumGetTextPP(wanted[key]);
        const std::optional<Row> job = key == Column::job_key
                                           ? jobs.find_by_job_key(DatumGetUUIDP(wanted[Column::organisation_id]), value)
                                           : jobs.find_by_job_id(value);
        if (job)
            return Found{*job, key};
    }
    return std::nullopt;
}

// Whether the job is the one that a call with these keys would have made. Its other key is compared, not the one by
// which it was found, whose collation may have its own idea of what is equal.
bool is_same_job(const Found &found, const Row &wanted, Keys keys)
{
    const Row &job = found.job;
    bool same =
        job.text(Column::job_type) == wanted.text(Column::job_type) &&
        store::same_id(DatumGetUUIDP(job[Column::organisation_id]), DatumGetUUIDP(wanted[Column::organisation_id]));
    store::each_column(keys & ~store::bit(found.by),
                       [&](Column other) { same = same && job.has(other) && job.text(other) == wanted.text(other); });
    return same;
}

// The job that has a key of `wanted`, if it is what the call says (is_same_job()) and visible to the caller under row
// security. Else raises PT409, with the same message in all these cases, so that nobody learns of another's job. Null:
// nobody has the key any more, because its job was deleted or archived meanwhile. Raises 42501 without SELECT on
// `jobs`, 40001 outside READ COMMITTED.
std::optional<Row> existing(Jobs &jobs, const Row &wanted, Keys keys)
{
    call::require_select(jobs.tables().jobs);
    std::optional<Found> found = find_by_keys(jobs, wanted, keys);
    if (!found && IsolationUsesXactSnapshot()) {
        // Only an older snapshot can miss a row that our insert has run into.
        const Column key = (keys & store::bit(Column::job_key)) != 0 ? Column::job_key : Column::job_id;
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent insert of %s \"%s\"",
                               store::definition_of(key).name, pg::text_excerpt(wanted[key]))));
    }
    if (!found)
        return std::nullopt;
    const Found seen = {store::copy(found->job), found->by}; // the next look overwrites the slot
    const bool may_see = job::may_see_job(jobs.tables(), seen.job.id());
    if (!may_see) {
        // The first look goes past row security, may_see_job() does not. So the job is hidden from the caller, or gone
        // between the two looks: the key is taken only if the same job still has it.
        found = find_by_keys(jobs, wanted, keys);
        if (!found || !store::same_id(found->job.id(), seen.job.id()))
            return std::nullopt;
    }
    if (!may_see || !is_same_job(seen, wanted, keys))
        call::raise(job::key_taken(seen.by, pg::text_excerpt(wanted[seen.by])));
    return seen.job;
}

// Inserts by a statement without ON CONFLICT, in a subtransaction. Null: the row is written. Else the error 23505,
// which says that the key is taken after all. Where the statement raises nothing and writes nothing, a trigger or rule
// of the user's has kept the row from being written, which is raised as 09000; so is every other error.
ErrorData *insert_or_be_refused(Jobs &jobs, Row &row)
{
    // By a statement even if a direct write is possible by now: `jobs` would open its indexes and derived tables for
    // one, and the abort of the subtransaction would close what `jobs` goes on using.
    return pg::in_subtransaction(
        [&] { (void)store::statement::insert_by_statement(jobs.current(), row, 0); },
        [](const ErrorData *raised) { return raised->sqlerrcode != ERRCODE_UNIQUE_VIOLATION; });
}

// Inserts the row, or sets it to the job that has its key. Says whether it was created.
//
// The insert finds the key taken, and the look finds no job: another transaction has deleted or archived the job in
// between, and we insert again. On the direct path that goes on without a limit but a cancel, because in each round
// another transaction has got further. On the statement path there is a second reason: a trigger or rule of the user's
// keeps the row from being written, and ON CONFLICT DO NOTHING looks the same. There a second insert, without
// ON CONFLICT, tells the two apart. If that runs into a key again and again, a trigger of the user's probably gives the
// row another key, one that is taken: after ten rounds its 23505 is raised, since ten deletions in the very moment
// between two looks are not to be expected.
bool insert_or_find(Jobs &jobs, Row &row, Keys keys)
{
    constexpr int most_refusals = 10;
    const job::ExplainRefusal explained(row[Column::organisation_id]);
    for (int refusals = 0;;) {
        CHECK_FOR_INTERRUPTS();
        if (jobs.insert(row, keys))
            return true;
        if (const std::optional<Row> found = existing(jobs, row, keys)) {
            row = *found;
            return false;
        }
        if (jobs.only_direct())
            continue;
        ErrorData *refused = insert_or_be_refused(jobs, row);
        if (refused == nullptr)
            return true;
        if (++refusals == most_refusals)
            ReThrowError(refused);
        FreeErrorData(refused);
    }
}

// Enqueues one job: `row` becomes the one that is new, or that was there. Says whether it was created.
bool enqueue(Jobs &jobs, const job::NewJob &wanted, TimestampTz now, const pg_uuid_t *id, Row &row)
{
    const Keys keys = keys_of(wanted);
    if (keys == 0) {
        row = job::make_row(jobs, wanted, now, id);
        return insert_or_find(jobs, row, keys);
    }
    const Row made = job::make_unjudged_row(jobs, wanted, now, id);
    row = job::storable(wanted, made);
    if (!insert_or_find(jobs, row, keys))
        return false;
    job::judge_new(jobs, wanted, made);
    return true;
}

} // namespace

JOBS_FUNCTION(job_enqueue)
{
    const job::NewJob wanted = call::read_arguments<job::new_job_fields>(fcinfo);
    pg::StatementScope scope("job_enqueue()");
    Jobs jobs = Jobs::open(call::require_any_insert);
    job::require_may_insert(jobs);
    // One time for id and created_at, so that jobs sort by either in the same order.
    const TimestampTz now = settings::now();
    Row row;
    const bool created = enqueue(jobs, wanted, now, pg::time_ordered_uuid(now), row);
    return call::answer(fcinfo, row, BoolGetDatum(created));
}

namespace {

// By what an element is found again, and its place in the order in which keys are taken: first those with a job_key, by
// organisation and job_key, then those with a job_id alone.
struct Key {
    const pg_uuid_t *organisation; // null where it is a job_id. Elements in a row share one
    std::string_view text;

    int compare(const Key &other) const
    {
        if ((organisation == nullptr) != (other.organisation == nullptr))
            return organisation == nullptr ? 1 : -1;
        const int by_organisation =
            organisation == other.organisation ? 0 : std::memcmp(organisation, other.organisation, UUID_LEN);
        return by_organisation != 0 ? by_organisation : text.compare(other.text);
    }
};

// An element with a key. These are inserted before the others, so the call keeps their answers until their turn in the
// answer comes. An element without a key is read, inserted and answered at its turn, and leaves nothing behind but its
// Birth: a call must not hold a multiple of what it was given (test/tap/large_batches.pl).
struct Keyed {
    Key key;
    JsonbContainer *object;
    HeapTuple answer;
    int position;
};

// When a job is made, and its id, which begins with that time. Each job of a call has a time of its own, at least one
// microsecond after the one before: an update of a job that is not heap-only looks through all equal keys of each index
// for its place, and created_at of 100 000 jobs of a call would be equal. These times do not lie in the future when the
// call commits, because to insert a job takes longer than a microsecond. Where a test has the clock stand, all jobs
// have the same time.
struct Birth {
    TimestampTz at;
    pg_uuid_t id;
};

std::span<const Birth> births_of(std::size_t count)
{
    auto births = static_cast<Birth *>(pg::allocate(sizeof(Birth) * count));
    const bool stands = settings::clock_stands();
    TimestampTz last = DT_NOBEGIN;
    for (std::size_t i = 0; i < count; ++i) {
        last = stands ? settings::now() : std::max(settings::now(), last + 1);
        births[i] = {last, *pg::time_ordered_uuid(last)};
    }
    return {births, count};
}

struct KeyedElements {
    std::span<Keyed> list;         // in the order of the array, but while they are inserted
    std::span<const Birth> births; // of all elements, by position from 0
};

// A member of an element; nothing where there is none, or a JSON null, or the element is no object.
std::optional<JsonbValue> member_of(const JsonbValue &element, std::string_view name)
{
    const auto member = pg::is_object(element) ? pg::find_member(element.val.binary.data, name) : std::nullopt;
    return member && member->type != jbvNull ? member : std::nullopt;
}

// Its text, as read_members() takes it: also that of a number or boolean. What has none counts as the empty one, and is
// refused at its turn; so is a number with more digits than are kept of it here (1e131071 has 131072).
std::optional<std::string_view> text_of_member(const JsonbValue &element, std::string_view name)
{
    const auto member = member_of(element, name);
    if (!member)
        return std::nullopt;
    const std::string_view text = pg::scalar_view(*member).value_or(std::string_view());
    if (member->type != jbvNumeric)
        return text;
    const char *kept = pnstrdup(text.data(), std::min<std::size_t>(text.size(), job::longest_job_key));
    pfree(const_cast<char *>(text.data()));
    return kept;
}

bool is_keyed(const JsonbValue &element) { return member_of(element, "job_key") || member_of(element, "job_id"); }

// The organisation of this text, whatever way it is written, since one that is written in two ways is one place in the
// order of keys. Of what is no uuid anything: it is refused at its turn.
pg_uuid_t organisation_of(std::string_view given)
{
    pg_uuid_t id = {};
    int digits = 0;
    for (const char c : given) {
        const int digit = std::isdigit(static_cast<unsigned char>(c)) != 0    ? c - '0'
                          : std::isxdigit(static_cast<unsigned char>(c)) != 0 ? (c | 0x20) - 'a' + 10
                                                                              : -1;
        if (digit < 0 || digits == 2 * UUID_LEN)
            continue;
        id.data[digits / 2] |= static_cast<unsigned char>(digits % 2 == 0 ? digit << 4 : digit);
        ++digits;
    }
    return id;
}

// Makes the keys of one array, element by element.
class KeyReader {
public:
    Key key_of(const JsonbValue &element)
    {
        const auto job_key = text_of_member(element, "job_key");
        if (!job_key)
            return {nullptr, *text_of_member(element, "job_id")};
        const auto named = text_of_member(element, "organisation_id");
        return {named ? share(organisation_of(*named)) : own(), *job_key};
    }

private:
    // Of elements that name none: it is found out once for all.
    const pg_uuid_t *own()
    {
        if (own_ == nullptr)
            own_ = job::default_organisation();
        return own_;
    }

    // Mostly many elements in a row are of one organisation.
    const pg_uuid_t *share(const pg_uuid_t &organisation)
    {
        if (last_ == nullptr || !store::same_id(last_, &organisation))
            last_ = new (palloc(sizeof(pg_uuid_t))) pg_uuid_t(organisation);
        return last_;
    }

    const pg_uuid_t *own_ = nullptr;
    const pg_uuid_t *last_ = nullptr;
};

// Two passes over the array, to count and to fill: a list that grows would hold up to twice of what is needed.
KeyedElements read_keys(JsonbContainer *list)
{
    std::size_t count = 0;
    pg::each_element(list, [&](const JsonbValue &element, int) { count += is_keyed(element); });
    KeyedElements keys;
    keys.list = {static_cast<Keyed *>(pg::allocate(sizeof(Keyed) * count)), count};
    std::size_t next = 0;
    KeyReader reader;
    pg::each_element(list, [&](const JsonbValue &element, int position) {
        if (is_keyed(element))
            keys.list[next++] = {reader.key_of(element), element.val.binary.data, nullptr, position};
    });
    // In the order of the array, though the jobs are inserted in another: the ids sort as the caller gave the jobs.
    keys.births = births_of(JsonContainerSize(list));
    return keys;
}

// Jobs without a key that are going to be inserted together. What they are made of is in a memory that they share.
class Sheaf {
public:
    bool is_empty() const { return count_ == 0; }
    bool is_full() const { return count_ == most || bytes_ >= enough; }
    std::span<Row> rows() { return std::span(rows_).first(count_); }
    int position(std::size_t i) const { return positions_[i]; }

    void add(const Row &row, int position)
    {
        rows_[count_] = row;
        positions_[count_++] = position;
        for (const Column large : {Column::input_payload, Column::metadata})
            bytes_ += row.has(large) ? toast_raw_datum_size(row[large]) : 0;
    }
    void clear() { count_ = bytes_ = 0; }

private:
    static constexpr std::size_t most = pg::Slots::most;
    static constexpr std::size_t enough = 65'536; // as COPY

    std::size_t count_ = 0, bytes_ = 0;
    std::array<Row, most> rows_;
    std::array<int, most> positions_;
};

// Inserts the jobs of an array and puts their states into `sink`, in the order of the array. An error in one of them
// raises, with the element's position, and undoes the call: unlike a worker's outcomes (job/lease_list.hpp) a
// producer's jobs belong together.
class Batch {
public:
    Batch(Jobs &jobs, JsonbContainer *list, pg::RowSink &sink)
        : jobs_(jobs), list_(list), sink_(sink), keys_(read_keys(list))
    {
    }

    void insert_jobs()
    {
        insert_keyed();
        std::size_t next = 0;
        pg::each_element(list_, [&](const JsonbValue &element, int position) {
            if (next < keys_.list.size() && keys_.list[next].position == position) {
                insert_sheaf();
                sink_.put(keys_.list[next++].answer);
            } else {
                context_.position = position;
                pg::require_object(element, "a job");
                add_unkeyed(element.val.binary.data, position);
            }
        });
        insert_sheaf();
    }

private:
    // Inserts the elements with a key, in the order of the keys. Two calls that insert the same keys in different
    // orders would wait for each other, each for a key that the other one has inserted and not committed: a deadlock.
    // In one order the second call waits at the first key they share, and holds none of the later ones. An element with
    // both keys takes both at its job_key's place. So a deadlock is left, to Postgres's detector, between calls that
    // name the same job_id beside different job_keys, or beside one and alone, which are not the same jobs anyway.
    // Equal keys in one array keep the array's order: the first makes the job, the second finds it.
    void insert_keyed()
    {
        std::sort(keys_.list.begin(), keys_.list.end(), [](const Keyed &a, const Keyed &b) {
            const int order = a.key.compare(b.key);
            return order != 0 ? order < 0 : a.position < b.position;
        });
        for (Keyed &keyed : keys_.list) {
            pg::RowMemory::Use use(memory_);
            Row row;
            const bool created = enqueue(jobs_, read(keyed.object, keyed.position), birth_of(keyed.position).at,
                                         &birth_of(keyed.position).id, row);
            const pg::RowBuilder state = call::state_of(row, BoolGetDatum(created));
            pg::InMemory lasting(answers_);
            keyed.answer = sink_.form_row(state);
        }
        // Back into the order of the array.
        std::sort(keys_.list.begin(), keys_.list.end(),
                  [](const Keyed &a, const Keyed &b) { return a.position < b.position; });
    }

    void add_unkeyed(JsonbContainer *object, int position)
    {
        {
            pg::InMemory shared(memory_);
            const job::NewJob wanted = read(object, position);
            sheaf_.add(job::make_row(jobs_, wanted, birth_of(position).at, &birth_of(position).id), position);
        }
        // By statement each is written before the next one is judged, which has to find what a trigger of the user's
        // made of it: a type, a parent.
        if (sheaf_.is_full() || !jobs_.direct_insert())
            insert_sheaf();
    }

    void insert_sheaf()
    {
        if (sheaf_.is_empty())
            return;
        pg::RowMemory::Use use(memory_);
        const auto at = [&](std::size_t i) { context_.position = sheaf_.position(i); };
        const std::span<Row> rows = sheaf_.rows();
        const bool together = jobs_.direct_insert();
        if (together) {
            // Of a direct insert it explains a foreign key that no organisation was named for, whatever row that is.
            const job::ExplainRefusal explained(rows[0][Column::organisation_id]);
            jobs_.insert(rows, at);
        }
        for (std::size_t i = 0; i < rows.size(); ++i) {
            at(i);
            if (!together)
                insert_or_find(jobs_, rows[i], 0);
            sink_.put(call::state_of(rows[i], BoolGetDatum(true)));
        }
        sheaf_.clear();
    }

    job::NewJob read(JsonbContainer *object, int position)
    {
        CHECK_FOR_INTERRUPTS();
        context_.position = position;
        job::NewJob wanted;
        call::read_members<job::new_job_fields>(object, nullptr, wanted);
        return wanted;
    }

    const Birth &birth_of(int position) const { return keys_.births[position - 1]; }

    Jobs &jobs_;
    JsonbContainer *list_;
    pg::RowSink &sink_;
    const KeyedElements keys_;
    pg::DenseMemory answers_;
    pg::RowMemory memory_;
    Sheaf sheaf_;
    pg::ElementContext context_{"jobs"};
};

struct EnqueueMany {
    JsonbContainer *jobs;
};
constexpr call::Field<EnqueueMany> enqueue_many_fields[] = {{"jobs", JSONBOID, &EnqueueMany::jobs}};

} // namespace

JOBS_FUNCTION(job_enqueue_many)
{
    const EnqueueMany given = call::read_arguments<enqueue_many_fields>(fcinfo);
    pg::RowSink sink(fcinfo, call::job_state_type);
    pg::StatementScope scope("job_enqueue_many()");
    Jobs jobs = Jobs::open(call::require_any_insert);
    job::require_may_insert(jobs);
    Batch(jobs, given.jobs, sink).insert_jobs();
    return Datum{0};
}

} // namespace verbs
