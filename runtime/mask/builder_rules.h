#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "flashmask/mask_builders.h"

// What the builders refuse, each with the numbers. All throw Error{kInvalidArgument}.
namespace flashmask::masks {

/// Both lengths are 1 .. Mask::kMaxSeqlen.
void check_lengths(const SequenceLengths& lengths);

/// The same, and the queries are the last positions of the keys: no more queries than keys.
void check_positions(const SequenceLengths& lengths);

void check_range(std::string_view name, std::int64_t value, std::int64_t least, std::int64_t most);
void check_least(std::string_view name, std::int64_t value, std::int64_t least);

/// Every length is at least `least`, and their sum is `total`, the number named `total_name`.
void check_sum(std::string_view name, const std::vector<int>& lengths, int least, std::string_view total_name,
               std::int64_t total);

/// Ascending spans that are not empty, do not overlap, and lie in 0 .. seqlen.
void check_spans(std::string_view name, const std::vector<TokenSpan>& spans, int seqlen);

/// A count of tokens that a builder computes, as an int: at most Mask::kMaxSeqlen.
int checked_tokens(std::string_view name, std::int64_t tokens);

/// Something that must be as long as the keys, or as another number: "eviction_positions[2] has 7 elements: …".
void check_count(std::string_view name, std::size_t count, std::string_view total_name, std::int64_t total);

}  // namespace flashmask::masks
