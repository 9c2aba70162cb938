#include <gmock/gmock.h>

#include <algorithm>

#include "flashmask/mask_builders.h"
#include "tests/mask/positions.h"
#include "tests/mask/random_masks.h"

namespace flashmask::mask_tests {
namespace {

using masks::SequenceLengths;

TEST(LanguageMasks, PaddingOnEitherSide) {
  for (const bool causal : {false, true}) {
    for (const auto& [first, end] : {std::pair{0, 7}, {3, 10}, {2, 6}, {0, 10}}) {
      for (const SequenceLengths& n : positions_of(10)) {
        const Mask mask = masks::padded(n, {first, end}, causal);
        ASSERT_TRUE(sees_at(mask, [&, first = first, end = end](int p, int j) {
          return j >= first && j < end && (!causal || j <= p);
        }));
        ASSERT_EQ(mask.shape().form, causal ? MaskForm::kC1 : MaskForm::kF2);
      }
    }
  }
}

TEST(LanguageMasks, GappyKeys) {
  const std::vector<std::uint8_t> valid = {0, 1, 1, 0, 0, 7, 1, 0, 1, 1};
  for (const bool causal : {false, true}) {
    for (const SequenceLengths& n : positions_of(10)) {
      ASSERT_TRUE(sees_at(masks::gappy_keys(n, valid, causal),
                          [&](int p, int j) { return valid[j] != 0 && (!causal || j <= p); }));
    }
  }
}

TEST(LanguageMasks, VarlenWithLengthsOfTheirOwn) {
  Random random(50);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> q, k;
    do {
      q.clear();
      k.clear();
      for (int n = random.between(1, 4); n > 0; --n) {
        q.push_back(random.between(0, 5));
        k.push_back(random.between(0, 5));
      }
    } while (numbered(q).empty() || numbered(k).empty());
    const std::vector<int> of_row = numbered(q);
    const std::vector<int> of_key = numbered(k);
    const auto inside = [](const std::vector<int>& numbers, int n) {
      return static_cast<int>(n - (std::find(numbers.begin(), numbers.end(), numbers[n]) - numbers.begin()));
    };
    const SequenceLengths lengths(static_cast<int>(of_row.size()), static_cast<int>(of_key.size()));
    ASSERT_TRUE(sees_by(masks::varlen(lengths, q, k, false), [&](int i, int j) { return of_row[i] == of_key[j]; }));
    for (const CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft}) {
      const Mask mask = masks::varlen(lengths, q, k, true, alignment);
      ASSERT_TRUE(sees_by(mask, [&](int i, int j) {
        const int s = of_row[i];
        const int offset = alignment == CausalAlignment::kBottomRight ? k[s] - q[s] : 0;
        return s == of_key[j] && inside(of_key, j) <= inside(of_row, i) + offset;
      }));
      ASSERT_EQ(mask.shape().form, MaskForm::kF2);
    }
  }
}

TEST(LanguageMasks, ChunkedLocal) {
  for (const int chunk : {1, 3, 5, 11, 2147483647}) {
    for (const SequenceLengths& n : positions_of(11)) {
      ASSERT_TRUE(
          sees_at(masks::chunked_local(n, chunk), [&](int p, int j) { return j <= p && p / chunk == j / chunk; }));
    }
  }
}

TEST(LanguageMasks, SinksWindowsAndTriShape) {
  for (const int sinks : {0, 2, 20}) {
    for (const int window : {1, 3, 2147483647}) {
      for (const SequenceLengths& n : positions_of(11)) {
        const auto shown = [&](int p, int j) { return j <= p && (j < sinks || p - j < window); };
        ASSERT_TRUE(sees_at(masks::sinks_and_window(n, sinks, window), shown));
        for (const int last : {0, 1, 4, 11}) {
          const Mask mask = masks::tri_shape(n, sinks, window, last);
          ASSERT_TRUE(sees_at(mask, [&](int p, int j) { return shown(p, j) || (j <= p && p >= 11 - last); }));
          ASSERT_EQ(mask.shape().form, MaskForm::kC2);
        }
      }
    }
  }
}

TEST(LanguageMasks, Gist) {
  const std::vector<std::vector<masks::TokenSpan>> cases = {
      {}, {{0, 1}}, {{3, 5}}, {{2, 3}, {3, 5}, {8, 10}}, {{9, 12}}};
  for (const std::vector<masks::TokenSpan>& spans : cases) {
    for (const SequenceLengths& n : positions_of(12)) {
      const Mask mask = masks::gist(n, spans);
      ASSERT_TRUE(sees_at(mask, [&](int p, int j) {
        bool is_gist = false;
        bool between = false;
        for (const masks::TokenSpan& span : spans) {
          is_gist |= j >= span.first && j < span.end;
          between |= j < span.first && span.end <= p;
        }
        return j <= p && (is_gist || !between);
      }));
      ASSERT_EQ(mask.shape().form, MaskForm::kC1);
    }
  }
}

TEST(LanguageMasks, SepLlm) {
  const std::vector<int> separators = {9, 3, 4, 3};
  for (const SequenceLengths& n : positions_of(12)) {
    ASSERT_TRUE(sees_at(masks::sep_llm(n, separators, 2, 3), [&](int p, int j) {
      return j <= p && (j < 2 || j > p - 3 || std::find(separators.begin(), separators.end(), j) != separators.end());
    }));
  }
}

TEST(LanguageMasks, SharedPrefixRolloutsAndMultiItemScoring) {
  for (const int prefix : {0, 4}) {
    std::vector<int> part = numbered({3, 1, 4});
    for (int& number : part) ++number;
    part.insert(part.begin(), prefix, 0);  // 0: the prefix
    for (const SequenceLengths& n : positions_of(prefix + 8)) {
      const Mask mask = masks::shared_prefix_rollouts(n, prefix, {3, 1, 4});
      ASSERT_TRUE(sees_at(mask, [&](int p, int j) { return j <= p && (part[j] == 0 || part[j] == part[p]); }));
      ASSERT_EQ(mask.shape().form, MaskForm::kC1);
    }
    // prefix | d a a | d b | d c c c | d
    std::vector<int> item = {1, 1, 1, 2, 2, 3, 3, 3, 3, 4};
    item.insert(item.begin(), prefix, 0);
    for (const SequenceLengths& n : positions_of(prefix + 10)) {
      ASSERT_TRUE(sees_at(masks::multi_item_scoring(n, prefix, {2, 1, 3}),
                          [&](int p, int j) { return j <= p && (item[j] == 0 || item[j] == item[p]); }));
    }
  }
  EXPECT_TRUE(sees_by(masks::shared_prefix_rollouts(3, 3, {}), [](int i, int j) { return j <= i; }));
}

TEST(LanguageMasks, MtpDraft) {
  for (const auto& [tokens, depth] : {std::pair{1, 1}, {4, 1}, {3, 3}, {5, 2}}) {
    for (const SequenceLengths& n : positions_of(tokens * (1 + depth))) {
      const Mask mask = masks::mtp_draft(n, tokens, depth);
      ASSERT_TRUE(sees_at(mask, [&, tokens = tokens, depth = depth](int p, int j) {
        const auto token_of = [&](int x) { return x < tokens ? x : (x - tokens) / depth; };
        if (j < tokens) return j <= token_of(p);
        return p >= tokens && token_of(p) == token_of(j) && j <= p;
      }));
      ASSERT_EQ(mask.shape().form, MaskForm::kC2);
    }
  }
}

TEST(LanguageMasks, SpeculativeTreesInDepthFirstPreOrder) {
  Random random(51);
  for (int round = 0; round < 200; ++round) {
    const int context = random.between(0, 4);
    const int nodes = random.between(1, 12);
    std::vector<int> parents;
    for (int n = 0; n < nodes; ++n) parents.push_back(random.between(-1, n - 1));
    const masks::PermutedMask tree = masks::speculative_tree(context, parents);
    std::vector<bool> listed(static_cast<std::size_t>(nodes));
    for (const int node : tree.order) listed[node] = true;
    ASSERT_EQ(std::count(listed.begin(), listed.end(), true), nodes);
    const auto is_ancestor_or_self = [&](int ancestor, int node) {
      while (node > ancestor) node = parents[node];
      return node == ancestor;
    };
    ASSERT_TRUE(sees_by(tree.mask, [&](int row, int column) {
      return column < context || is_ancestor_or_self(tree.order[column - context], tree.order[row]);
    }));
    ASSERT_EQ(tree.mask.shape().form, MaskForm::kC1);
    ASSERT_EQ(tree.mask.shape().seqlen_q, nodes);
  }
}

}  // namespace
}  // namespace flashmask::mask_tests
