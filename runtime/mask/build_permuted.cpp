#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "flashmask/error.h"
#include "runtime/mask/builder_rules.h"
#include "runtime/mask/column_values.h"

namespace flashmask::masks {

PermutedMask hash_sparse(const std::vector<int>& bucket_ids) {
  const int tokens = checked_tokens("the number of bucket_ids", std::ssize(bucket_ids));
  std::vector<int> order(bucket_ids.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bucket_ids[a] < bucket_ids[b]; });
  std::vector<int> bucket_lengths;
  for (int place = 0; place < tokens; ++place) {
    if (place == 0 || bucket_ids[order[place]] != bucket_ids[order[place - 1]]) bucket_lengths.push_back(0);
    ++bucket_lengths.back();
  }
  return {causal_documents(tokens, bucket_lengths), std::move(order)};
}

PermutedMask speculative_tree(int context, const std::vector<int>& parents) {
  check_range("context", context, 0, Mask::kMaxSeqlen);
  const int nodes = checked_tokens("the number of parents", std::ssize(parents));
  const SequenceLengths lengths(nodes, checked_tokens("context + nodes", std::int64_t{context} + nodes));
  for (int n = 0; n < nodes; ++n) {
    if (parents[n] < -1 || parents[n] >= n) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("parents[{}] = {}: -1 for a root, or a node before it, 0 to {}, is needed", n, parents[n], n - 1),
          "number the nodes so that parents come before their children");
    }
  }
  std::vector<int> subtree(parents.size(), 1);  // nodes in it, its root included
  for (int n = nodes - 1; n >= 0; --n) {
    if (parents[n] >= 0) subtree[parents[n]] += subtree[n];
  }
  // In pre-order a subtree is a run of places: each child takes the next free part of its parent's run.
  std::vector<int> order(parents.size());
  std::vector<int> size_at(parents.size());
  std::vector<int> free_place(parents.size());
  int free_root_place = 0;
  for (int n = 0; n < nodes; ++n) {
    int& next = parents[n] < 0 ? free_root_place : free_place[parents[n]];
    const int place = next;
    next += subtree[n];
    free_place[n] = place + 1;
    order[place] = n;
    size_at[place] = subtree[n];
  }
  Mask mask = make_c1(lengths, [&](int j) {
    return C1Column{j < context ? lengths.k : std::int64_t{j} + size_at[static_cast<std::size_t>(j - context)]};
  });
  return {std::move(mask), std::move(order)};
}

PermutedMask image_windows(int height, int width, int window_height, int window_width) {
  check_least("height", height, 1);
  check_least("width", width, 1);
  check_least("window_height", window_height, 1);
  check_least("window_width", window_width, 1);
  const int tokens = checked_tokens("height * width", std::int64_t{height} * width);
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(tokens));
  std::vector<int> window_lengths;
  // 64 bits: a window may reach far beyond the image.
  for (std::int64_t top = 0; top < height; top += window_height) {
    for (std::int64_t left = 0; left < width; left += window_width) {
      const std::int64_t bottom = std::min<std::int64_t>(height, top + window_height);
      const std::int64_t right = std::min<std::int64_t>(width, left + window_width);
      window_lengths.push_back(static_cast<int>((bottom - top) * (right - left)));
      for (std::int64_t y = top; y < bottom; ++y) {
        for (std::int64_t x = left; x < right; ++x) order.push_back(static_cast<int>(y * width + x));
      }
    }
  }
  return {documents(tokens, window_lengths), std::move(order)};
}

PermutedMask dilated(int seqlen, int dilation, int steps) {
  check_range("seqlen", seqlen, 1, Mask::kMaxSeqlen);
  check_least("dilation", dilation, 1);
  check_least("steps", steps, -1);
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(seqlen));
  std::vector<int> class_lengths;
  for (int residue = 0; residue < std::min(dilation, seqlen); ++residue) {
    const std::size_t first = order.size();
    for (std::int64_t token = residue; token < seqlen; token += dilation) order.push_back(static_cast<int>(token));
    class_lengths.push_back(static_cast<int>(order.size() - first));
  }
  const std::vector<TokenSpan> classes = spans_of(class_lengths);
  const std::vector<int> class_at = span_numbers(classes, seqlen);
  Mask mask = make_f2(seqlen, [&](std::int64_t j) {
    const TokenSpan& own = classes[class_at[static_cast<std::size_t>(j)]];
    if (steps < 0) return F2Column{own.end, own.first};
    return F2Column{std::min<std::int64_t>(own.end, j + steps + 1), std::max<std::int64_t>(own.first, j - steps)};
  });
  return {std::move(mask), std::move(order)};
}

PermutedMask scattered_globals(int seqlen, int window, const std::vector<int>& globals) {
  check_range("seqlen", seqlen, 1, Mask::kMaxSeqlen);
  check_least("window", window, 0);
  std::vector<bool> is_global(static_cast<std::size_t>(seqlen));
  for (std::size_t n = 0; n < globals.size(); ++n) {
    check_range(fmt::format("globals[{}]", n), globals[n], 0, std::int64_t{seqlen} - 1);
    is_global[static_cast<std::size_t>(globals[n])] = true;
  }
  std::vector<int> order(static_cast<std::size_t>(seqlen));
  std::iota(order.begin(), order.end(), 0);
  const auto rest = std::stable_partition(order.begin(), order.end(), [&](int token) { return is_global[token]; });
  const std::int64_t global_count = rest - order.begin();
  Mask mask = make_f4(seqlen, [&](int j) {
    if (j < global_count) return F4Column{seqlen, seqlen, 0, 0};
    // The others keep their order, so that a window of positions is a run of places.
    const std::int64_t token = order[j];
    const auto after = std::upper_bound(rest, order.end(), token + window);
    const auto before = std::lower_bound(rest, order.end(), token - window);
    return F4Column{after - order.begin(), seqlen, global_count, before - order.begin()};
  });
  return {std::move(mask), std::move(order)};
}

PermutedMask temporal_video(int frames, int tokens_per_frame, int radius) {
  check_least("frames", frames, 1);
  check_least("tokens_per_frame", tokens_per_frame, 1);
  check_least("radius", radius, 0);
  const int tokens = checked_tokens("frames * tokens_per_frame", std::int64_t{frames} * tokens_per_frame);
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(tokens));
  for (int place = 0; place < tokens_per_frame; ++place) {
    for (int frame = 0; frame < frames; ++frame) order.push_back(frame * tokens_per_frame + place);
  }
  Mask mask = make_f2(tokens, [&](int j) {
    const std::int64_t place = j / frames;
    return F2Column{(place + radius + 1) * frames, (place - radius) * frames};
  });
  return {std::move(mask), std::move(order)};
}

}  // namespace flashmask::masks
