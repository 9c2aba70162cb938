#include <cstdint>

#include "runtime/mask/builder_rules.h"
#include "runtime/mask/kind_tables.h"

namespace flashmask {
namespace {

using enum MaskParameterType;
using masks::SequenceLengths;

constexpr auto kCausal = optional("causal", kFlag, "1: and only keys up to itself", "1", "1");
constexpr auto kSinks = optional("sinks", kInteger, "first tokens that all rows see", "4", "2");
constexpr auto kWindow = required("window", kInteger, "keys that a row sees, its own included", "4");

Mask padding(const SequenceLengths& n, int tokens, bool left, bool causal) {
  masks::check_range("tokens", tokens, 1, n.k);
  return masks::padded(n, left ? masks::TokenSpan{n.k - tokens, n.k} : masks::TokenSpan{0, tokens}, causal);
}

std::vector<std::uint8_t> flags(const std::vector<int>& values) {
  std::vector<std::uint8_t> flags;
  for (const int value : values) flags.push_back(value != 0);
  return flags;
}

}  // namespace

std::vector<BuildableKind> language_kinds() {
  return {
      {{"padding-right",
        "language",
        "a row sees no key of the padding at the end",
        "c1 or f2",
        false,
        {required("tokens", kInteger, "tokens that are no padding", "11"), kCausal},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return padding(n, a.integer("tokens"), false, a.flag("causal"));
       }},
      {{"padding-left",
        "language",
        "a row sees no key of the padding at the start",
        "c1 or f2",
        false,
        {required("tokens", kInteger, "tokens that are no padding", "11"), kCausal},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return padding(n, a.integer("tokens"), true, a.flag("causal"));
       }},
      {{"gappy-keys",
        "language",
        "a row sees the keys whose slot is filled",
        "c1 or f2",
        false,
        {required("valid", kIntegers, "1 for each filled slot, 0 for each empty one", "4x1,3x0,5x1,2x0,2x1"), kCausal},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::gappy_keys(n, flags(a.integers("valid")), a.flag("causal"));
       }},
      {{"varlen",
        "language",
        "a row sees the keys of its own sequence; queries and keys have lengths of their own",
        "f2",
        false,
        {required("query-lengths", kIntegers, "query rows of each sequence", "3,1,6"),
         required("key-lengths", kIntegers, "keys of each sequence", "5,4,7"), kCausal, causal_alignment_parameter()},
        10,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::varlen(n, a.integers("query-lengths"), a.integers("key-lengths"), a.flag("causal"),
                              a.alignment("causal-alignment"));
       }},
      {{"chunked-local",
        "language",
        "a row sees the keys of its own chunk up to itself",
        "c1",
        false,
        {required("chunk", kInteger, "tokens of a chunk", "5")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) { return masks::chunked_local(n, a.integer("chunk")); }},
      {{"sinks-and-window",
        "language",
        "a row sees the first tokens and the last `window` keys",
        "c1",
        false,
        {kWindow, kSinks},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::sinks_and_window(n, a.integer("sinks"), a.integer("window"));
       }},
      {{"a-shape", "language", "another name of sinks-and-window", "c1", false, {kWindow, kSinks}, 16, 16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::sinks_and_window(n, a.integer("sinks"), a.integer("window"));
       }},
      {{"tri-shape",
        "language",
        "sinks and window, but the last rows see all keys up to themselves",
        "c2",
        false,
        {kWindow, required("last-rows", kInteger, "positions at the end that see all", "3"), kSinks},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::tri_shape(n, a.integer("sinks"), a.integer("window"), a.integer("last-rows"));
       }},
      {{"gist",
        "language",
        "rows after a span of gist tokens no longer see what precedes it, but for gist tokens",
        "c1",
        false,
        {required("gist-spans", kSpans, "spans of gist tokens", "4:6,11:12")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) { return masks::gist(n, a.spans("gist-spans")); }},
      {{"sep-llm",
        "language",
        "a row sees the first tokens, the separators before it and the last `window` keys",
        "c1",
        false,
        {kWindow, required("separators", kIntegers, "positions of the separators", "5,9"), kSinks},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::sep_llm(n, a.integers("separators"), a.integer("sinks"), a.integer("window"));
       }},
      {{"shared-prefix-rollouts",
        "language",
        "rollouts see the shared prefix and themselves, not each other",
        "c1",
        false,
        {required("prefix-length", kInteger, "tokens that all share", "5"),
         required("rollout-lengths", kIntegers, "tokens of each rollout", "4,3,4")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::shared_prefix_rollouts(n, a.integer("prefix-length"), a.integers("rollout-lengths"));
       }},
      {{"multi-item-scoring",
        "language",
        "items, each after a delimiter, see the prefix and themselves; one more delimiter ends them",
        "c1",
        false,
        {required("prefix-length", kInteger, "tokens before the first delimiter", "4"),
         required("item-lengths", kIntegers, "tokens of each item, without its delimiter", "3,2,3")},
        16,
        16},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::multi_item_scoring(n, a.integer("prefix-length"), a.integers("item-lengths"));
       }},
      {{"mtp-draft",
        "language",
        "drafts, after all tokens, see the tokens up to their own and the drafts of it before them",
        "c2",
        false,
        {required("tokens", kInteger, "tokens that are no drafts", "6"),
         required("depth", kInteger, "drafts of each token", "2")},
        18,
        18},
       [](const ArgumentReader& a, const SequenceLengths& n) {
         return masks::mtp_draft(n, a.integer("tokens"), a.integer("depth"));
       }},
  };
}

}  // namespace flashmask
