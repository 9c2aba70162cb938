#include <gmock/gmock.h>

#include "flashmask/mask_builders.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using namespace masks;

#define EXPECT_REFUSED(expression, text) EXPECT_EQ(error_of([] { (void)(expression); }), text)

TEST(BuildersRefuse, LengthsThatAreNone) {
  EXPECT_REFUSED(sliding_window({0, 8}, 2), "seqlen_q = 0: 1 to 536870912 is needed");
  EXPECT_REFUSED(varlen({4, 536870913}, {4}, {4}, true), "seqlen_k = 536870913: 1 to 536870912 is needed");
  EXPECT_REFUSED(causal_documents({9, 8}, {8}),
                 "seqlen_q = 9 with seqlen_k = 8: the queries of this mask are the last positions of the keys, so that "
                 "at most 8 are allowed");
}

TEST(BuildersRefuse, LengthsThatDoNotSumUp) {
  EXPECT_REFUSED(documents(12, {5, 6}), "the 2 document_lengths sum up to 11: seqlen_k = 12 is needed");
  EXPECT_REFUSED(causal_documents(12, {5, 0, 7}), "document_lengths[1] = 0: at least 1 is needed");
  EXPECT_REFUSED(causal_documents(12, {}), "the 0 document_lengths sum up to 0: seqlen_k = 12 is needed");
  EXPECT_REFUSED(documents(12, {2147483647, 2147483647}),
                 "the 2 document_lengths sum up to 4294967294: seqlen_k = 12 is needed");
  EXPECT_REFUSED(share_question(9, {{3, {2, 3}}}),
                 "the 3 question and answer lengths sum up to 8: seqlen_k = 9 is needed");
  EXPECT_REFUSED(share_question(9, {{0, {9}}}), "question and answer lengths[0] = 0: at least 1 is needed");
  EXPECT_REFUSED(causal_blockwise(9, {3, 3}), "the 2 block_lengths sum up to 6: seqlen_k = 9 is needed");
  EXPECT_REFUSED(prefix_lm_documents(9, {{4, 1}, {4, 1}}),
                 "the 2 document lengths sum up to 8: seqlen_k = 9 is needed");
  EXPECT_REFUSED(prefix_lm_documents(9, {{4, 5}, {5, 1}}), "documents[0].prefix_length = 5: 0 to 4 is needed");
  EXPECT_REFUSED(shared_prefix_rollouts(9, 2, {3, 3}),
                 "the 2 rollout_lengths sum up to 6: seqlen_k - prefix_length = 7 is needed");
  EXPECT_REFUSED(multi_item_scoring(9, 2, {2, 1}),
                 "the 2 item_lengths sum up to 3: seqlen_k - prefix_length - items - 1 delimiters = 4 is needed");
  EXPECT_REFUSED(block_causal(9, {3, 7}), "the 2 block_lengths sum up to 10: seqlen_k = 9 is needed");
  EXPECT_REFUSED(var_next_scale(15, {1, 2, 3}), "the 3 squares of sides sum up to 14: seqlen_k = 15 is needed");
  EXPECT_REFUSED(varlen({5, 6}, {2, 2}, {3, 3}, false), "the 2 query_lengths sum up to 4: seqlen_q = 5 is needed");
  EXPECT_REFUSED(varlen({5, 6}, {6, -1}, {3, 3}, false), "query_lengths[1] = -1: at least 0 is needed");
  EXPECT_REFUSED(varlen({5, 6}, {5}, {3, 3}, false),
                 "query_lengths has 1 elements: the number of key_lengths = 2 are needed");
}

TEST(BuildersRefuse, CountsThatDoNotFit) {
  EXPECT_REFUSED(gappy_keys(4, {1, 0, 1}, true), "valid has 3 elements: seqlen_k = 4 are needed");
  EXPECT_REFUSED(evicted_keys(3, {{1, 2, 3}, {1, 2}}), "eviction_positions[1] has 2 elements: seqlen_k = 3 are needed");
  EXPECT_REFUSED(evicted_keys(3, {}), "the number of lists of eviction_positions = 0: at least 1 is needed");
  EXPECT_REFUSED(mtp_draft(10, 3, 2), "a sequence of tokens * (1 + depth) has 9 elements: seqlen_k = 10 are needed");
  EXPECT_REFUSED(block_diffusion(10, 4, 2), "a sequence of 2 * tokens has 8 elements: seqlen_k = 10 are needed");
  EXPECT_REFUSED(flamingo_cross_attention({8, 5}, {1, 2}, 2),
                 "a sequence of images * tokens_per_image has 4 elements: seqlen_k = 5 are needed");
  EXPECT_REFUSED(causal_by_position({}, {1}), "the number of query_positions = 0: 1 to 536870912 is needed");
  EXPECT_REFUSED(lengths_from_ids(std::vector<int>()), "the number of document_ids = 0: at least 1 is needed");
  EXPECT_REFUSED(hash_sparse({}), "the number of bucket_ids = 0: 1 to 536870912 is needed");
  EXPECT_REFUSED(speculative_tree(4, {}), "the number of parents = 0: 1 to 536870912 is needed");
  EXPECT_REFUSED(image_windows(65536, 65536, 8, 8), "height * width = 4294967296: 1 to 536870912 is needed");
  EXPECT_REFUSED(temporal_video(65536, 65536, 0), "frames * tokens_per_frame = 4294967296: 1 to 536870912 is needed");
}

TEST(BuildersRefuse, SpansThatOverlapOrLieOutside) {
  EXPECT_REFUSED(qk_sparse(9, {{2, 5}, {4, 6}}),
                 "dropped[1] = [4, 6) follows [2, 5): ascending spans that do not overlap are needed");
  EXPECT_REFUSED(image_spans(9, {{5, 5}}), "images[0] = [5, 5): a span that is not empty and lies in [0, 9) is needed");
  EXPECT_REFUSED(gist(9, {{7, 10}}), "gist_spans[0] = [7, 10): a span that is not empty and lies in [0, 9) is needed");
  EXPECT_REFUSED(padded(9, {-1, 4}, true), "valid[0] = [-1, 4): a span that is not empty and lies in [0, 9) is needed");
  EXPECT_REFUSED(noised_spans(9, {{1, 4}}, {{3, 6}}),
                 "clean and noised spans together[1] = [3, 6) follows [1, 4): ascending spans that do not overlap are "
                 "needed");
}

TEST(BuildersRefuse, NumbersOutOfRange) {
  EXPECT_REFUSED(window(9, -2, 0), "window = (-2, 0): form window needs numbers of keys from 0 on, or -1 for no bound");
  EXPECT_REFUSED(window_as_intervals(9, 0, -2),
                 "window = (0, -2): form window needs numbers of keys from 0 on, or -1 for no bound");
  EXPECT_REFUSED(sliding_window(9, 0), "window = 0: at least 1 is needed");
  EXPECT_REFUSED(global_sliding_window(9, -1, 2), "window = -1: at least 0 is needed");
  EXPECT_REFUSED(global_sliding_window(9, 1, 10), "globals = 10: 0 to 9 is needed");
  EXPECT_REFUSED(prefix_lm_causal(9, 10), "prefix_length = 10: 0 to 9 is needed");
  EXPECT_REFUSED(random_eviction(9, 0, 1, 0), "budget = 0: at least 1 is needed");
  EXPECT_REFUSED(random_eviction(9, 1, 0, 0), "num_heads = 0: at least 1 is needed");
  EXPECT_REFUSED(chunked_local(9, 0), "chunk = 0: at least 1 is needed");
  EXPECT_REFUSED(sinks_and_window(9, -1, 2), "sinks = -1: at least 0 is needed");
  EXPECT_REFUSED(tri_shape(9, 0, 2, 10), "last_rows = 10: 0 to 9 is needed");
  EXPECT_REFUSED(sep_llm(9, {3, 9}, 0, 2), "separators[1] = 9: 0 to 8 is needed");
  EXPECT_REFUSED(shared_prefix_rollouts(9, 10, {}), "prefix_length = 10: 0 to 9 is needed");
  EXPECT_REFUSED(mtp_draft(9, 9, 0), "depth = 0: at least 1 is needed");
  EXPECT_REFUSED(speculative_tree(-1, {-1}), "context = -1: 0 to 536870912 is needed");
  EXPECT_REFUSED(var_next_scale(9, {0, 3}), "sides[0] = 0: 1 to 16384 is needed");
  EXPECT_REFUSED(frame_causal_video(9, 0), "tokens_per_frame = 0: at least 1 is needed");
  EXPECT_REFUSED(frame_causal_video(9, 3, -2), "past_frames = -2: at least -1 is needed");
  EXPECT_REFUSED(frame_causal_video(9, 4),
                 "tokens_per_frame = 4: a divisor of seqlen_k = 9 is needed (the remainder is 1)");
  EXPECT_REFUSED(key_frames_and_neighbours(9, 3, {1, 3}, 0), "key_frames[1] = 3: 0 to 2 is needed");
  EXPECT_REFUSED(key_frames_and_neighbours(9, 3, {1}, -1), "neighbours = -1: at least 0 is needed");
  EXPECT_REFUSED(block_diffusion(8, 4, 0), "block_length = 0: at least 1 is needed");
  EXPECT_REFUSED(dilated(8, 0, 1), "dilation = 0: at least 1 is needed");
  EXPECT_REFUSED(dilated(8, 2, -2), "steps = -2: at least -1 is needed");
  EXPECT_REFUSED(scattered_globals(8, 1, {8}), "globals[0] = 8: 0 to 7 is needed");
  EXPECT_REFUSED(temporal_video(2, 4, -1), "radius = -1: at least 0 is needed");
  EXPECT_REFUSED(image_windows(4, 4, 2, 0), "window_width = 0: at least 1 is needed");
}

TEST(BuildersRefuse, OrdersThatDoNotHold) {
  EXPECT_REFUSED(causal_by_position({3, 2}, {1}),
                 "query_positions[1] = 2 follows 3: positions that do not descend are needed");
  EXPECT_REFUSED(speculative_tree(4, {-1, 2, 0}),
                 "parents[1] = 2: -1 for a root, or a node before it, 0 to 0, is needed");
  EXPECT_REFUSED(flamingo_cross_attention({8, 4}, {3, 2}, 2), "image_rows[1] = 2: 3 to 7 is needed");
  EXPECT_REFUSED(flamingo_cross_attention({8, 4}, {3, 8}, 2), "image_rows[1] = 8: 3 to 7 is needed");
  EXPECT_REFUSED(varlen(4, {4}, {4}, false, CausalAlignment::kTopLeft),
                 "causal_alignment = top-left with causal = 0: sequences without a diagonal need bottom-right");
}

TEST(BuildersRefuse, CumulativeLengthsThatAreNone) {
  const auto text = [](const std::vector<int>& sums) { return error_of([&] { (void)lengths_from_cumulative(sums); }); };
  EXPECT_EQ(text({}), "cu_seqlens has 0 elements: it starts with 0");
  EXPECT_EQ(text({1, 4}), "cu_seqlens[0] = 1: 0 is needed");
  EXPECT_EQ(text({0, 4, 3}), "cu_seqlens[2] = 3 follows 4: sums do not descend");
}

}  // namespace
}  // namespace flashmask::mask_tests
