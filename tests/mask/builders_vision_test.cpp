#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>

#include "flashmask/mask_builders.h"
#include "tests/mask/positions.h"

namespace flashmask::mask_tests {
namespace {

using masks::PermutedMask;
using masks::SequenceLengths;
using ::testing::ElementsAre;

TEST(VisionMasks, ImageSpans) {
  const std::vector<int> image = {-1, 0, 0, 0, -1, -1, 1, 1, 2, -1};
  for (const SequenceLengths& n : positions_of(10)) {
    const Mask mask = masks::image_spans(n, {{1, 4}, {6, 8}, {8, 9}});
    ASSERT_TRUE(sees_at(mask, [&](int p, int j) { return j <= p || (image[j] >= 0 && image[j] == image[p]); }));
    ASSERT_EQ(mask.shape().form, MaskForm::kF2);
  }
}

TEST(VisionMasks, NoisedSpans) {
  const std::vector<int> span = {-1, 0, 0, 0, -1, 1, 1, 2, 2, -1, 3, 3, -1};
  const std::vector<bool> noised = {false, true, false, true};
  for (const SequenceLengths& n : positions_of(13)) {
    ASSERT_TRUE(sees_at(masks::noised_spans(n, {{1, 4}, {7, 9}}, {{5, 7}, {10, 12}}), [&](int p, int j) {
      const bool together = span[j] >= 0 && span[j] == span[p];
      return (j <= p || together) && (span[j] < 0 || !noised[span[j]] || together);
    }));
  }
}

TEST(VisionMasks, FlamingoCrossAttention) {
  for (const std::vector<int>& rows : {std::vector{0}, {4}, {2, 5}, {1, 1, 6}, {0, 3, 7}}) {
    for (const int tokens : {1, 3}) {
      const int images = static_cast<int>(rows.size());
      const Mask mask = masks::flamingo_cross_attention({8, images * tokens}, rows, tokens);
      ASSERT_TRUE(sees_by(mask, [&](int i, int j) {
        int last = -1;
        for (int n = 0; n < images; ++n) {
          if (rows[n] <= i) last = n;
        }
        return j / tokens == last;
      }));
    }
  }
}

TEST(VisionMasks, ScalesFramesAndBlocksAreCausalByBlock) {
  for (const SequenceLengths& n : positions_of(14)) {
    const std::vector<int> scale = numbered({1, 4, 9});
    ASSERT_TRUE(sees_at(masks::var_next_scale(n, {1, 2, 3}), [&](int p, int j) { return scale[j] <= scale[p]; }));
    const std::vector<int> block = numbered({3, 1, 8, 2});
    ASSERT_TRUE(sees_at(masks::block_causal(n, {3, 1, 8, 2}), [&](int p, int j) { return block[j] <= block[p]; }));
    ASSERT_TRUE(sees_at(masks::frame_causal_video(n, 7), [&](int p, int j) { return j / 7 <= p / 7; }));
    for (const int past : {0, 1, 3, 2147483647}) {
      ASSERT_TRUE(sees_at(masks::frame_causal_video(n, 2, past),
                          [&](int p, int j) { return j / 2 <= p / 2 && p / 2 - j / 2 <= past; }));
    }
  }
}

TEST(VisionMasks, KeyFramesAndNeighbours) {
  for (const int neighbours : {0, 1, 2, 100}) {
    for (const SequenceLengths& n : positions_of(15)) {
      ASSERT_TRUE(sees_at(masks::key_frames_and_neighbours(n, 3, {3, 0, 3}, neighbours), [&](int p, int j) {
        return std::abs(p / 3 - j / 3) <= neighbours || j / 3 == 0 || j / 3 == 3;
      }));
    }
  }
}

TEST(DiffusionMasks, BlockDiffusion) {
  for (const auto& [tokens, length] : {std::pair{6, 2}, {7, 3}, {5, 1}, {4, 100}, {1, 1}}) {
    for (const SequenceLengths& n : positions_of(2 * tokens)) {
      const Mask mask = masks::block_diffusion(n, tokens, length);
      ASSERT_TRUE(sees_at(mask, [&, tokens = tokens, length = length](int p, int j) {
        const int block_p = p % tokens / length;
        const int block_j = j % tokens / length;
        const bool noised_p = p < tokens;
        const bool noised_j = j < tokens;
        if (noised_p) return noised_j ? block_j == block_p : block_j < block_p;
        return !noised_j && block_j <= block_p;
      }));
      ASSERT_EQ(mask.shape().form, MaskForm::kF4);
    }
  }
}

/// Whether the mask, its tokens put back into their order, is rule(token of the row, token of the key).
testing::AssertionResult sees_tokens(const PermutedMask& permuted, const std::function<bool(int i, int j)>& rule) {
  std::vector<int> sorted = permuted.order;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t n = 0; n < sorted.size(); ++n) {
    if (sorted[n] != static_cast<int>(n)) return testing::AssertionFailure() << "order is no permutation";
  }
  if (static_cast<int>(sorted.size()) != permuted.mask.shape().seqlen_q) {
    return testing::AssertionFailure() << "order has " << sorted.size() << " tokens";
  }
  return sees_by(permuted.mask, [&](int row, int column) { return rule(permuted.order[row], permuted.order[column]); });
}

TEST(PermutedMasks, ImageWindows) {
  for (const auto& [wh, ww] : {std::pair{2, 3}, {1, 1}, {3, 4}, {100, 2147483647}, {2, 6}}) {
    ASSERT_TRUE(sees_tokens(masks::image_windows(4, 6, wh, ww), [&, wh = wh, ww = ww](int i, int j) {
      return i / 6 / wh == j / 6 / wh && i % 6 / ww == j % 6 / ww;
    }));
  }
  EXPECT_THAT(masks::image_windows(2, 4, 2, 2).order, ElementsAre(0, 1, 4, 5, 2, 3, 6, 7));
}

TEST(PermutedMasks, Dilated) {
  for (const int n : {1, 7, 12}) {
    for (const int dilation : {1, 2, 3, 20}) {
      for (const int steps : {-1, 0, 1, 2, 2147483647}) {
        ASSERT_TRUE(sees_tokens(masks::dilated(n, dilation, steps), [&](int i, int j) {
          return (i - j) % dilation == 0 && (steps < 0 || std::abs(i - j) / dilation <= steps);
        }));
      }
    }
  }
}

TEST(PermutedMasks, ScatteredGlobals) {
  for (const std::vector<int>& globals : {std::vector<int>{}, {5}, {9, 2, 2, 3}, {0, 11}}) {
    for (const int window : {0, 1, 3, 2000000000}) {
      const auto is_global = [&](int token) {
        return std::find(globals.begin(), globals.end(), token) != globals.end();
      };
      ASSERT_TRUE(sees_tokens(masks::scattered_globals(12, window, globals),
                              [&](int i, int j) { return std::abs(i - j) <= window || is_global(i) || is_global(j); }));
    }
  }
}

TEST(PermutedMasks, TemporalVideo) {
  for (const int radius : {0, 1, 7}) {
    ASSERT_TRUE(sees_tokens(masks::temporal_video(3, 5, radius),
                            [&](int i, int j) { return std::abs(i % 5 - j % 5) <= radius; }));
  }
}

}  // namespace
}  // namespace flashmask::mask_tests
