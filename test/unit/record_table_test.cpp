#include "logic/record_table.hpp"

#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using logic::KnownRecords;
using logic::no_record;
using logic::RecordNumber;

struct Key {
    std::uint32_t number = 0, hashed = 0;

    friend bool operator==(const Key &, const Key &) = default;
    std::uint32_t hash() const { return hashed; }
    std::uint32_t quick_hash() const { return hashed; }
};
struct Record {
    Key key;
    RecordNumber next;
};
using RecordTable = logic::RecordTable<Record>;

// With the table over it made anew at each use, as over shared memory.
struct Memory {
    explicit Memory(std::size_t count) : records(count), lists(RecordTable::count_lists(count)) { table().begin(); }
    RecordTable table() { return {records, lists.data()}; }
    Record &at(RecordNumber number) { return records[static_cast<std::size_t>(number)]; }

    RecordNumber add(const Key &key)
    {
        const RecordNumber number = table().take_free();
        if (number == no_record)
            return no_record;
        at(number).key = key;
        table().add(number);
        return number;
    }
    void free(RecordNumber number)
    {
        table().remove(number);
        at(number).key = {};
        table().give_back(number);
    }

    std::vector<Record> records;
    std::vector<RecordNumber> lists;
};

TEST(RecordTable, TakesThemInTheirOrder)
{
    Memory memory(3);
    EXPECT_FALSE(memory.table().is_full());
    for (std::uint32_t i = 0; i < 3; ++i)
        EXPECT_EQ(memory.add({i + 1, i}), i);
    EXPECT_TRUE(memory.table().is_full());
    EXPECT_EQ(memory.add({4, 4}), no_record);
    EXPECT_EQ(memory.table().find({4, 4}), no_record);
    memory.free(1);
    EXPECT_FALSE(memory.table().is_full());
    EXPECT_EQ(memory.table().find({2, 1}), no_record);
    EXPECT_EQ(memory.add({4, 4}), 1);
}

TEST(RecordTable, OfNoRecords)
{
    Memory memory(0);
    EXPECT_TRUE(memory.table().is_full());
    EXPECT_EQ(memory.table().find({1, 1}), no_record);
    EXPECT_EQ(memory.add({1, 1}), no_record);
}

// One that is taken from its key, for another, without having been free.
TEST(RecordTable, ARecordGoesOver)
{
    Memory memory(2);
    const Key first = {1, 7}, second = {2, 7}, third = {3, 7}; // in one bucket
    EXPECT_EQ(memory.add(first), 0);
    EXPECT_EQ(memory.add(second), 1);
    memory.table().remove(0);
    memory.at(0).key = third;
    memory.table().add(0);
    EXPECT_EQ(memory.table().find(first), no_record);
    EXPECT_EQ(memory.table().find(second), 1);
    EXPECT_EQ(memory.table().find(third), 0);
    EXPECT_TRUE(memory.table().is_full());
}

// Beside a map. Of 40 keys for 16 records; all stand in few buckets, or each where it will.
void compare_with_map(std::uint32_t hashes, unsigned seed)
{
    std::mt19937 random(seed);
    Memory memory(16);
    std::map<std::uint32_t, RecordNumber> expected;
    for (int i = 0; i < 20000; ++i) {
        const std::uint32_t number = random() % 40 + 1;
        const Key key = {number, number % hashes};
        const auto known = expected.find(number);
        if (known != expected.end() && random() % 2 == 0) {
            memory.free(known->second);
            expected.erase(known);
        } else if (known == expected.end()) {
            const RecordNumber added = memory.add(key);
            ASSERT_EQ(added == no_record, expected.size() == 16);
            if (added != no_record)
                expected[number] = added;
        }
        ASSERT_EQ(memory.table().is_full(), expected.size() == 16);
        for (std::uint32_t any = 1; any <= 40; ++any) {
            const auto found = expected.find(any);
            ASSERT_EQ(memory.table().find({any, any % hashes}), found == expected.end() ? no_record : found->second);
        }
    }
}

TEST(RecordTable, FindsWhatAMapFinds)
{
    compare_with_map(1, 1);
    compare_with_map(3, 2);
    compare_with_map(40, 3);
}

TEST(KnownRecords, TheLastOfEachPlace)
{
    KnownRecords<Key> known;
    EXPECT_EQ(known.find({1, 1}), no_record);
    known.note({1, 1}, 5);
    known.note({2, 2}, 6);
    EXPECT_EQ(known.find({1, 1}), 5);
    EXPECT_EQ(known.find({2, 2}), 6);
    known.note({65, 65}, 7); // in the place of the first
    EXPECT_EQ(known.find({1, 1}), no_record);
    EXPECT_EQ(known.find({65, 65}), 7);
    known.forget({65, 65});
    EXPECT_EQ(known.find({65, 65}), no_record);
    EXPECT_EQ(known.find({2, 2}), 6);
}

TEST(KnownRecords, NobodysIsNotKnown)
{
    KnownRecords<Key> known;
    EXPECT_EQ(known.find({}), no_record);
    known.note({3, 3}, 1);
    known.forget({3, 3});
    EXPECT_EQ(known.find({}), no_record);
}

} // namespace
