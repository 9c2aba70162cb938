#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "flashmask/error.h"
#include "runtime/mask/builder_rules.h"
#include "runtime/mask/column_values.h"

namespace flashmask::masks {
namespace {

/// Number of frames; checks that whole frames fill the keys.
int frame_count(const SequenceLengths& lengths, int tokens_per_frame) {
  check_least("tokens_per_frame", tokens_per_frame, 1);
  if (lengths.k % tokens_per_frame != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("tokens_per_frame = {}: a divisor of seqlen_k = {} is needed (the remainder is {})",
                            tokens_per_frame, lengths.k, lengths.k % tokens_per_frame));
  }
  return lengths.k / tokens_per_frame;
}

}  // namespace

Mask image_spans(SequenceLengths lengths, const std::vector<TokenSpan>& images) {
  check_positions(lengths);
  check_spans("images", images, lengths.k);
  const std::vector<int> span = span_numbers(images, lengths.k);
  return make_f2(lengths, [&](int j) { return F2Column{lengths.k, span[j] < 0 ? j : images[span[j]].first}; });
}

Mask noised_spans(SequenceLengths lengths, const std::vector<TokenSpan>& clean, const std::vector<TokenSpan>& noised) {
  check_positions(lengths);
  check_spans("clean", clean, lengths.k);
  check_spans("noised", noised, lengths.k);
  std::vector<TokenSpan> all = clean;
  all.insert(all.end(), noised.begin(), noised.end());
  std::sort(all.begin(), all.end(), [](const TokenSpan& a, const TokenSpan& b) { return a.first < b.first; });
  check_spans("clean and noised spans together", all, lengths.k);
  const std::vector<int> clean_span = span_numbers(clean, lengths.k);
  const std::vector<int> noised_span = span_numbers(noised, lengths.k);
  return make_f2(lengths, [&](int j) {
    if (noised_span[j] >= 0) return F2Column{noised[noised_span[j]].end, noised[noised_span[j]].first};
    return F2Column{lengths.k, clean_span[j] < 0 ? j : clean[clean_span[j]].first};
  });
}

Mask flamingo_cross_attention(SequenceLengths lengths, const std::vector<int>& image_rows, int tokens_per_image) {
  check_lengths(lengths);
  check_least("tokens_per_image", tokens_per_image, 1);
  for (std::size_t n = 0; n < image_rows.size(); ++n) {
    check_range(fmt::format("image_rows[{}]", n), image_rows[n], n == 0 ? 0 : image_rows[n - 1],
                std::int64_t{lengths.q} - 1);
  }
  check_count("a sequence of images * tokens_per_image", image_rows.size() * static_cast<std::size_t>(tokens_per_image),
              "seqlen_k", lengths.k);
  return from_positions<2>(lengths, MaskForm::kF2, 0, [&](int j) {
    const std::size_t image = static_cast<std::size_t>(j / tokens_per_image);
    return F2Column{image + 1 < image_rows.size() ? image_rows[image + 1] : lengths.q, image_rows[image]};
  });
}

Mask var_next_scale(SequenceLengths lengths, const std::vector<int>& sides) {
  check_positions(lengths);
  std::vector<int> squares;
  for (std::size_t n = 0; n < sides.size(); ++n) {
    check_range(fmt::format("sides[{}]", n), sides[n], 1, 1 << 14);  // squares of longer sides exceed any sequence
    squares.push_back(sides[n] * sides[n]);
  }
  check_sum("squares of sides", squares, 1, "seqlen_k", lengths.k);
  return block_causal(lengths, squares);
}

Mask frame_causal_video(SequenceLengths lengths, int tokens_per_frame, int past_frames) {
  check_positions(lengths);
  (void)frame_count(lengths, tokens_per_frame);
  check_least("past_frames", past_frames, -1);
  return make_f2(lengths, [&](int j) {
    const std::int64_t frame = j / tokens_per_frame;
    return F2Column{past_frames < 0 ? lengths.k : (frame + past_frames + 1) * tokens_per_frame,
                    frame * tokens_per_frame};
  });
}

Mask key_frames_and_neighbours(SequenceLengths lengths, int tokens_per_frame, const std::vector<int>& key_frames,
                               int neighbours) {
  check_positions(lengths);
  const int frames = frame_count(lengths, tokens_per_frame);
  check_least("neighbours", neighbours, 0);
  std::vector<bool> is_key(static_cast<std::size_t>(frames));
  for (std::size_t n = 0; n < key_frames.size(); ++n) {
    check_range(fmt::format("key_frames[{}]", n), key_frames[n], 0, std::int64_t{frames} - 1);
    is_key[static_cast<std::size_t>(key_frames[n])] = true;
  }
  return make_f2(lengths, [&](int j) {
    const std::int64_t frame = j / tokens_per_frame;
    if (is_key[static_cast<std::size_t>(frame)]) return F2Column{lengths.k, 0};
    return F2Column{(frame + neighbours + 1) * tokens_per_frame, (frame - neighbours) * tokens_per_frame};
  });
}

}  // namespace flashmask::masks
