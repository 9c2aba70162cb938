#include "tests/mask/seen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace flashmask::mask_tests {
namespace {

std::string picture(const std::uint8_t* slice, const MaskExtents& extents) {
  std::string text;
  for (int i = 0; i < extents.seqlen_q; ++i) {
    for (int j = 0; j < extents.seqlen_k; ++j) text += *slice++ != 0 ? 'x' : '.';
    text += '\n';
  }
  return text;
}

}  // namespace

std::vector<std::uint8_t> seen(const Mask& mask) {
  const MaskExtents e = mask.extents();
  std::vector<std::uint8_t> visible;
  for (int b = 0; b < e.batch; ++b) {
    for (int h = 0; h < e.num_heads; ++h) {
      for (int i = 0; i < e.seqlen_q; ++i) {
        for (int j = 0; j < e.seqlen_k; ++j) visible.push_back(mask.is_visible(b, h, i, j));
      }
    }
  }
  return visible;
}

testing::AssertionResult sees_like(const Mask& mask, const MaskExtents& extents,
                                   const std::vector<std::uint8_t>& expected) {
  if (mask.extents() != extents) return testing::AssertionFailure() << "extents differ: " << describe(mask);
  const std::vector<std::uint8_t> actual = seen(mask);
  if (actual == expected) return testing::AssertionSuccess();
  const std::size_t slice = static_cast<std::size_t>(extents.seqlen_q) * extents.seqlen_k;
  std::size_t first = 0;
  while (std::equal(actual.begin() + first, actual.begin() + first + slice, expected.begin() + first)) first += slice;
  return testing::AssertionFailure() << describe(mask) << "\nsees, in slice " << first / slice << ",\n"
                                     << picture(actual.data() + first, extents) << "and should see\n"
                                     << picture(expected.data() + first, extents);
}

testing::AssertionResult sees_by(const Mask& mask, const std::function<bool(int i, int j)>& rule) {
  const MaskExtents e = mask.extents();
  std::vector<std::uint8_t> expected;
  for (int slice = 0; slice < e.batch * e.num_heads; ++slice) {
    for (int i = 0; i < e.seqlen_q; ++i) {
      for (int j = 0; j < e.seqlen_k; ++j) expected.push_back(rule(i, j));
    }
  }
  return sees_like(mask, e, expected);
}

std::string describe(const Mask& mask) {
  const MaskShape& s = mask.shape();
  return fmt::format("{} {} [{}, {}, {}, {}] window ({}, {}) {}", to_string(s.form), to_string(s.causal_alignment),
                     s.batch, s.num_heads, s.seqlen_q, s.seqlen_k, s.window_left, s.window_right,
                     mask.startend_row_indices());
}

}  // namespace flashmask::mask_tests
