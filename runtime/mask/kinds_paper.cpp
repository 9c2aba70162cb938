#include <fmt/format.h>

#include <cstdint>

#include "flashmask/error.h"
#include "runtime/mask/kind_tables.h"

namespace flashmask {
namespace {

using enum MaskParameterType;
using masks::SequenceLengths;

std::vector<masks::SharedQuestion> samples(const std::vector<std::vector<int>>& groups) {
  std::vector<masks::SharedQuestion> samples;
  for (const std::vector<int>& group : groups) samples.push_back({group.front(), {group.begin() + 1, group.end()}});
  return samples;
}

std::vector<masks::PrefixedDocument> prefixed(const std::vector<int>& lengths, const std::vector<int>& prefixes) {
  if (lengths.size() != prefixes.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("prefix-lengths has {} elements, document-lengths {}: as many are needed", prefixes.size(),
                            lengths.size()));
  }
  std::vector<masks::PrefixedDocument> documents;
  for (std::size_t n = 0; n < lengths.size(); ++n) documents.push_back({lengths[n], prefixes[n]});
  return documents;
}

constexpr auto kDocumentLengths =
    required("document-lengths", kIntegers, "tokens of each document; they sum up to seqlen_k", "5,4,7");

}  // namespace

std::vector<BuildableKind> paper_kinds() {
  return {
      {{"full", "paper", "every row sees every key", "none", false, {}, 16, 16},
       [](const ArgumentReader&, const SequenceLengths& n) { return masks::full(n); }},
      {{"causal", "paper", "a row sees the keys up to itself", "causal", false, {causal_alignment_parameter()}, 16, 16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::causal(n, a.alignment("causal-alignment"));
       }},
      {{"window",
        "paper",
        "a row sees the keys at most left before and right after itself",
        "window",
        false,
        {required("left", kInteger, "keys before the row's own; -1: all", "3"),
         required("right", kInteger, "keys after the row's own; -1: all", "2"), causal_alignment_parameter()},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::window(n, a.integer("left"), a.integer("right"), a.alignment("causal-alignment"));
       }},
      {{"sliding-window",
        "paper",
        "a row sees the last `window` keys, its own included",
        "c1",
        false,
        {required("window", kInteger, "keys that a row sees", "4")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) { return masks::sliding_window(n, a.integer("window")); }},
      {{"causal-documents",
        "paper",
        "a row sees the keys of its own document up to itself",
        "c1",
        false,
        {kDocumentLengths},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::causal_documents(n, a.integers("document-lengths"));
       }},
      {{"documents", "paper", "a row sees the keys of its own document", "f2", false, {kDocumentLengths}, 16, 16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::documents(n, a.integers("document-lengths"));
       }},
      {{"share-question",
        "paper",
        "answers see their question and themselves, not each other",
        "c1",
        false,
        {required("samples", kGroups, "question and answer lengths of each sample", "4/3/3,2/2/2")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::share_question(n, samples(a.groups("samples")));
       }},
      {{"global-sliding-window",
        "paper",
        "rows see keys at most `window` away; the first tokens see all and are seen by all",
        "f4",
        false,
        {required("window", kInteger, "keys on either side", "2"),
         required("globals", kInteger, "number of global tokens, the first ones", "2")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::global_sliding_window(n, a.integer("window"), a.integer("globals"));
       }},
      {{"causal-blockwise",
        "paper",
        "rows see their own block up to themselves, the last block all that precedes",
        "c2",
        false,
        {required("block-lengths", kIntegers, "tokens of each block; they sum up to seqlen_k", "5,4,4,3")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::causal_blockwise(n, a.integers("block-lengths"));
       }},
      {{"prefix-lm-documents",
        "paper",
        "a row sees its own document's prefix, and its keys up to itself",
        "f2",
        false,
        {kDocumentLengths,
         required("prefix-lengths", kIntegers, "first tokens of each that all its rows see", "2,0,4")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::prefix_lm_documents(n, prefixed(a.integers("document-lengths"), a.integers("prefix-lengths")));
       }},
      {{"prefix-lm-causal",
        "paper",
        "a row sees the prefix and the keys up to itself",
        "f2",
        false,
        {required("prefix-length", kInteger, "first tokens that all rows see", "6")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::prefix_lm_causal(n, a.integer("prefix-length"));
       }},
      {{"qk-sparse",
        "paper",
        "a row sees the keys up to itself, but for those of the dropped span that holds it",
        "c2",
        false,
        {required("dropped", kSpans, "dropped spans", "3:6,9:13")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) { return masks::qk_sparse(n, a.spans("dropped")); }},
      {{"causal-by-position",
        "paper",
        "a row sees the keys whose position is not after its own: queries and keys that were dropped or gathered",
        "f2",
        false,
        {required("query-positions", kIntegers, "position of each row, not descending", "2,3,5,8,9,11,14,15"),
         required("key-positions", kIntegers, "position of each key", "0,1,4,5,6,8,9,10,13,15")},
        8,
        10},
       [](const ArgumentReader& a, const SequenceLengths&) {
         return masks::causal_by_position(a.integers("query-positions"), a.integers("key-positions"));
       }},
      {{"random-eviction",
        "paper",
        "a row sees what is left of a cache that drops a random key per position",
        "c1",
        false,
        {required("budget", kInteger, "keys in the cache", "8"),
         optional("num-heads", kInteger, "mask heads, each with a cache of its own", "1", "1"),
         optional("seed", kInteger, "of the random numbers", "0", "1")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::random_eviction(n, a.integer("budget"), a.integer("num-heads"),
                                       static_cast<std::uint64_t>(a.integer("seed")));
       }},
  };
}

}  // namespace flashmask
