#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/mask.h"

/// Builders of the masks that people use, from lengths, ids or spans: O(seqlen_k) time and memory, never a dense mask.
///
/// Each builds one sequence ([1, 1] of the batch and the mask heads, where it says nothing else): stack_batch(),
/// stack_heads() and Mask::expanded() make more of it, both_see() and either_sees() combine it with others.
///
/// Unless a builder says otherwise, positions are those of the keys, 0 .. seqlen_k - 1, and the queries are the last
/// seqlen_q of them: row i is at position p = i + seqlen_k - seqlen_q. So the same call serves training (equal
/// lengths), chunked prefill and decoding. More queries than keys are then refused.
///
/// All functions are pure and throw Error{kInvalidArgument} with the numbers in its text.
namespace flashmask::masks {

/// Lengths of the queries and of the keys; one number stands for both.
struct SequenceLengths {
  int q = 0;
  int k = 0;

  // Implicit: sliding_window(4096, 512) reads well.
  SequenceLengths(int both) : q(both), k(both) {}
  SequenceLengths(int seqlen_q, int seqlen_k) : q(seqlen_q), k(seqlen_k) {}
};

/// Positions first <= p < end; not empty. Lists of spans are ascending and do not overlap, else they are refused.
struct TokenSpan {
  int first = 0;
  int end = 0;
};

/// A mask that two intervals hold once the tokens are put into another order. Token order[n] goes to place n, in
/// queries and keys alike; results come back in that order.
struct PermutedMask {
  Mask mask;
  std::vector<int> order;
};

/// The lengths of packed sequences from their cumulative sums, {0, 3, 7} -> {3, 4}. Refuses sums that do not start at
/// 0 or that descend.
FLASHMASK_API std::vector<int> lengths_from_cumulative(std::span<const int> cu_seqlens);

/// The lengths of packed sequences from the id of each token, {5, 5, 2, 5} -> {2, 1, 1}: a sequence is a longest run of
/// equal neighbours. Refuses no ids.
FLASHMASK_API std::vector<int> lengths_from_ids(std::span<const int> document_ids);

// ---- Masks of the paper -------------------------------------------------------------------------------------------

/// Every row sees every key; any lengths. Form none.
FLASHMASK_API Mask full(SequenceLengths lengths);

/// Row i sees key j iff j <= i + offset, offset = seqlen_k - seqlen_q (bottom right) or 0 (top left); any lengths. Form
/// causal.
FLASHMASK_API Mask causal(SequenceLengths lengths, CausalAlignment alignment = CausalAlignment::kBottomRight);

/// Row i sees key j iff i + offset - left <= j <= i + offset + right; -1: no bound on that side; any lengths. Form
/// window.
FLASHMASK_API Mask window(SequenceLengths lengths, int left, int right,
                          CausalAlignment alignment = CausalAlignment::kBottomRight);

/// The same visibility as window(), as intervals: form F2, correct for unequal lengths.
FLASHMASK_API Mask window_as_intervals(SequenceLengths lengths, int left, int right,
                                       CausalAlignment alignment = CausalAlignment::kBottomRight);

/// Row p sees key j iff p - window < j <= p: `window` keys, its own included; any lengths. Form C1. Refuses window < 1.
FLASHMASK_API Mask sliding_window(SequenceLengths lengths, int window);

/// Row p sees key j iff both are in one document and j <= p. Form C1. Refuses document lengths below 1 or whose sum is
/// not seqlen_k (here and wherever lengths are given).
FLASHMASK_API Mask causal_documents(SequenceLengths lengths, const std::vector<int>& document_lengths);

/// Row p sees key j iff both are in one document. Form F2.
FLASHMASK_API Mask documents(SequenceLengths lengths, const std::vector<int>& document_lengths);

/// A question and answers to it, which do not see each other (reward models, DPO, GRPO).
struct SharedQuestion {
  int question_length = 0;
  std::vector<int> answer_lengths;
};
/// Samples end to end. Row p sees key j iff both are in one sample, j <= p, and j is in the question or in p's own
/// answer. Form C1. Refuses lengths below 1 (an empty list of answers is legal).
FLASHMASK_API Mask share_question(SequenceLengths lengths, const std::vector<SharedQuestion>& samples);

/// Row p sees key j iff |p - j| <= window, or p or j is among the first `globals` positions. Form F4. Refuses window
/// < 0, globals outside 0 .. seqlen_k.
FLASHMASK_API Mask global_sliding_window(SequenceLengths lengths, int window, int globals);

/// Row p sees key j iff j <= p, and both are in one block or p is in the last block (in-context learning:
/// demonstrations apart, the test example sees all). Form C2.
FLASHMASK_API Mask causal_blockwise(SequenceLengths lengths, const std::vector<int>& block_lengths);

/// A document whose first tokens see each other both ways; 0 <= prefix_length <= length.
struct PrefixedDocument {
  int length = 0;
  int prefix_length = 0;
};
/// Row p sees key j iff both are in one document, and j <= p or j is in its prefix. Form F2.
FLASHMASK_API Mask prefix_lm_documents(SequenceLengths lengths, const std::vector<PrefixedDocument>& documents);

/// Row p sees key j iff j <= p or j < prefix_length. Form F2. Refuses prefixes outside 0 .. seqlen_k.
FLASHMASK_API Mask prefix_lm_causal(SequenceLengths lengths, int prefix_length);

/// Row p sees key j iff j <= p and no dropped span holds both. Form C2.
FLASHMASK_API Mask qk_sparse(SequenceLengths lengths, const std::vector<TokenSpan>& dropped);

/// Queries and keys that were dropped or gathered and kept their positions: row i sees key j iff key_positions[j] <=
/// query_positions[i]. Form F2. Lengths are those of the lists. Refuses query positions that descend, empty lists.
FLASHMASK_API Mask causal_by_position(const std::vector<int>& query_positions, const std::vector<int>& key_positions);

/// A token sees the tokens of its own bucket up to itself; places are sorted by (bucket, position). Form C1 after the
/// permutation; seqlen = bucket_ids.size(). Refuses no ids.
FLASHMASK_API PermutedMask hash_sparse(const std::vector<int>& bucket_ids);

/// Row p sees key j iff j <= p < eviction_positions[h][j]; one list of seqlen_k positions per mask head. Form C1.
/// Refuses no lists, lists of another length.
FLASHMASK_API Mask evicted_keys(SequenceLengths lengths, const std::vector<std::vector<int>>& eviction_positions);

/// A cache of `budget` keys: each position p >= budget first drops one of the keys that are left, at random, and then
/// adds its own, so that it sees budget of them; every mask head draws its own. The same seed gives the same mask on
/// every machine. Form C1, [1, num_heads]. Refuses budget < 1, num_heads < 1.
FLASHMASK_API Mask random_eviction(SequenceLengths lengths, int budget, int num_heads, std::uint64_t seed);

// ---- Language models ----------------------------------------------------------------------------------------------

/// Row p sees key j iff j is in `valid` (the rest is padding, left or right), and j <= p if causal. Form C1 or F2.
FLASHMASK_API Mask padded(SequenceLengths lengths, TokenSpan valid, bool causal);

/// Row p sees key j iff valid[j] != 0, and j <= p if causal: slots of a paged or evicted cache. Form C1 or F2. Refuses
/// a list whose length is not seqlen_k.
FLASHMASK_API Mask gappy_keys(SequenceLengths lengths, const std::vector<std::uint8_t>& valid, bool causal);

/// Packed sequences with query and key lengths of their own. Row i sees key j iff both are in one sequence and, if
/// causal, j' <= i' + offset with i', j' counted inside the sequence and offset from its two lengths (bottom right) or
/// 0 (top left). Form F2. Lengths may be 0; refuses lists of unequal or no length, negative lengths, sums that are not
/// seqlen_q and seqlen_k.
FLASHMASK_API Mask varlen(SequenceLengths lengths, const std::vector<int>& query_lengths,
                          const std::vector<int>& key_lengths, bool causal,
                          CausalAlignment alignment = CausalAlignment::kBottomRight);

/// Row p sees key j iff j <= p and both are in one chunk: p / chunk = j / chunk (Llama 4). Form C1. Refuses chunk < 1.
FLASHMASK_API Mask chunked_local(SequenceLengths lengths, int chunk);

/// Row p sees key j iff j <= p, and j < sinks or j > p - window (StreamingLLM; MInference calls it A-shape). Form C1.
/// Refuses sinks < 0, window < 1.
FLASHMASK_API Mask sinks_and_window(SequenceLengths lengths, int sinks, int window);

/// sinks_and_window(), but the last `last_rows` positions see every key up to themselves (TriangleMix). Form C2.
/// Refuses last_rows outside 0 .. seqlen_k.
FLASHMASK_API Mask tri_shape(SequenceLengths lengths, int sinks, int window, int last_rows);

/// Row p sees key j iff j <= p, and j is a gist token or no whole span of gist tokens lies after j and before p. Form
/// C1.
FLASHMASK_API Mask gist(SequenceLengths lengths, const std::vector<TokenSpan>& gist_spans);

/// Row p sees key j iff j <= p, and j < sinks or j is a separator or j > p - window (SepLLM). Form C1. `separators`:
/// positions in any order. Refuses sinks < 0, window < 1, separators outside the keys.
FLASHMASK_API Mask sep_llm(SequenceLengths lengths, const std::vector<int>& separators, int sinks, int window);

/// Row p sees key j iff j <= p, and j is in the prefix or in p's own rollout. Form C1. prefix_length >= 0.
FLASHMASK_API Mask shared_prefix_rollouts(SequenceLengths lengths, int prefix_length,
                                          const std::vector<int>& rollout_lengths);

/// prefix, delimiter, item, delimiter, item, …, delimiter: seqlen_k = prefix + sum(items) + items + 1. Row p sees key j
/// iff j <= p, and j is in the prefix or in p's own item; a delimiter belongs to the item after it. Form C1.
FLASHMASK_API Mask multi_item_scoring(SequenceLengths lengths, int prefix_length, const std::vector<int>& item_lengths);

/// Training of `depth` draft tokens per position: `tokens` tokens, then the drafts of token 0, of token 1, …; seqlen_k
/// = tokens * (1 + depth). Tokens see tokens causally; a draft of token t sees the tokens up to t and the drafts of t
/// up to itself. Form C2. Refuses tokens < 1, depth < 1.
FLASHMASK_API Mask mtp_draft(SequenceLengths lengths, int tokens, int depth);

/// Verification of a tree of drafted tokens after `context` known ones: seqlen_q = nodes, seqlen_k = context + nodes. A
/// node sees the context, itself and its ancestors. `parents[n]` is the node's parent, -1 for a root; parents come
/// before their children. Form C1 after the nodes are put into depth-first pre-order (`order` lists nodes alone).
FLASHMASK_API PermutedMask speculative_tree(int context, const std::vector<int>& parents);

// ---- Images and video ---------------------------------------------------------------------------------------------

/// Row p sees key j iff j <= p or one image span holds both (Gemma 3). Form F2.
FLASHMASK_API Mask image_spans(SequenceLengths lengths, const std::vector<TokenSpan>& images);

/// Row p sees key j iff (j <= p or one span holds both) and (j is in no noised span or p is in the same one): images in
/// causal text, those being denoised hidden from what follows (Transfusion, BAGEL). Form F2. Refuses spans of the two
/// lists that overlap.
FLASHMASK_API Mask noised_spans(SequenceLengths lengths, const std::vector<TokenSpan>& clean,
                                const std::vector<TokenSpan>& noised);

/// Cross-attention of text (rows) to images (keys, tokens_per_image each, in order): row i sees the image that was
/// inserted last at or before i, and none before the first (Flamingo). `image_rows` ascend: seqlen_k =
/// image_rows.size()
/// * tokens_per_image. Form F2. Refuses rows outside 0 .. seqlen_q - 1 or descending, tokens_per_image < 1.
FLASHMASK_API Mask flamingo_cross_attention(SequenceLengths lengths, const std::vector<int>& image_rows,
                                            int tokens_per_image);

/// Scales of side x side tokens, coarse to fine: row p sees key j iff j's scale is p's or an earlier one (VAR). Form
/// F2. Refuses sides below 1 or whose squares do not sum up to seqlen_k.
FLASHMASK_API Mask var_next_scale(SequenceLengths lengths, const std::vector<int>& sides);

/// Row p sees key j iff p's frame minus j's frame is 0 .. past_frames; -1: all past frames. Form F2. Refuses
/// tokens_per_frame < 1 or that does not divide seqlen_k, past_frames < -1.
FLASHMASK_API Mask frame_causal_video(SequenceLengths lengths, int tokens_per_frame, int past_frames = -1);

/// Row p sees key j iff their frames differ by at most `neighbours` or j's frame is a key frame. Form F2. `key_frames`:
/// frame numbers in any order. Refuses tokens_per_frame as above, neighbours < 0, key frames that do not exist.
FLASHMASK_API Mask key_frames_and_neighbours(SequenceLengths lengths, int tokens_per_frame,
                                             const std::vector<int>& key_frames, int neighbours);

// ---- Diffusion ----------------------------------------------------------------------------------------------------

/// Training of block diffusion (BD3-LM): `tokens` noised tokens x_t, then the same tokens clean, x_0; seqlen_k = 2 *
/// tokens; both in blocks of block_length, the last one cut off. x_t sees x_t of its own block and x_0 of earlier
/// blocks; x_0 sees x_0 of its own and of earlier blocks. Form F4. Refuses tokens < 1, block_length < 1.
FLASHMASK_API Mask block_diffusion(SequenceLengths lengths, int tokens, int block_length);

/// Row p sees key j iff j's block is p's or an earlier one. Form F2.
FLASHMASK_API Mask block_causal(SequenceLengths lengths, const std::vector<int>& block_lengths);

// ---- After a permutation of the tokens; seqlen_q = seqlen_k ---------------------------------------------------------

/// An image of height x width tokens, row-major, cut into windows of window_height x window_width (those at the edges
/// may be smaller): a token sees its own window (Swin). Form F2, window after window. Refuses extents below 1.
FLASHMASK_API PermutedMask image_windows(int height, int width, int window_height, int window_width);

/// A token sees those at a multiple of `dilation` positions from it, at most `steps` of these steps away on either side
/// (-1: all). Form F2, residue class after residue class. Refuses seqlen < 1, dilation < 1, steps < -1.
FLASHMASK_API PermutedMask dilated(int seqlen, int dilation, int steps);

/// Tokens see each other iff they are at most `window` positions apart or one of them is global. Form F4, global tokens
/// first. `globals`: positions in any order. Refuses window < 0, globals outside the sequence.
FLASHMASK_API PermutedMask scattered_globals(int seqlen, int window, const std::vector<int>& globals);

/// A temporal head of a video of frames x tokens_per_frame tokens: a token sees the tokens of all frames whose place in
/// their frame differs by at most `radius`. Form F2, place after place. Refuses extents below 1, radius < 0.
FLASHMASK_API PermutedMask temporal_video(int frames, int tokens_per_frame, int radius);

}  // namespace flashmask::masks
