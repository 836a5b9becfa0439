// A set of jobs that may be told that a child of theirs has ended, in little room: a bit for each of so many hash
// values. Two jobs may share a bit, so that one is looked at for the other's sake; none is ever missing. Pure C++,
// unit-tested.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace logic {

class Parents {
public:
    static constexpr std::size_t words = 16, bits = words * 64;

    // The bit of an id, which has 16 bytes. All of them count: the first half of a UUID of version 7 is the time, of
    // version 4 all is random, and an owner's ids may be 1, 2, 3.
    static constexpr std::size_t bit_of(const unsigned char *id)
    {
        std::uint64_t hash = 0xcbf29ce484222325; // FNV-1a
        for (std::size_t i = 0; i < 16; ++i)
            hash = (hash ^ id[i]) * 0x100000001b3;
        return static_cast<std::size_t>((hash ^ hash >> 32) % bits);
    }

    constexpr void add(const unsigned char *id) { word_of(bit_of(id)) |= mask_of(bit_of(id)); }
    constexpr bool has(const unsigned char *id) const { return (words_[bit_of(id) / 64] & mask_of(bit_of(id))) != 0; }
    constexpr void add_all() { words_.fill(~std::uint64_t{0}); }
    constexpr void clear() { words_.fill(0); }
    constexpr bool is_empty() const
    {
        return std::all_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word == 0; });
    }
    // For what is kept word by word, in shared memory.
    constexpr std::uint64_t word(std::size_t i) const { return words_[i]; }
    constexpr void add_word(std::size_t i, std::uint64_t word) { words_[i] |= word; }

private:
    static constexpr std::uint64_t mask_of(std::size_t bit) { return std::uint64_t{1} << bit % 64; }
    constexpr std::uint64_t &word_of(std::size_t bit) { return words_[bit / 64]; }

    std::array<std::uint64_t, words> words_ = {};
};

} // namespace logic
