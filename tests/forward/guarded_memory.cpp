#include "tests/forward/guarded_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace flashmask::forward_tests {

StridedTensor::StridedTensor(Layout layout, int batch, int seqlen, int heads, int head_dim)
    : batch_(batch), seqlen_(seqlen), heads_(heads), head_dim_(head_dim) {
  switch (layout) {
    case Layout::kPacked:
      stride_head_ = head_dim;
      stride_seqlen_ = heads * stride_head_;
      stride_batch_ = seqlen * stride_seqlen_;
      break;
    case Layout::kPadded:
      stride_head_ = head_dim + 8;
      stride_seqlen_ = heads * stride_head_ + 16;
      stride_batch_ = seqlen * stride_seqlen_ + 24;
      break;
    case Layout::kHeadsFirst:
      stride_seqlen_ = head_dim;
      stride_head_ = seqlen * stride_seqlen_;
      stride_batch_ = heads * stride_head_;
      break;
    case Layout::kInterleaved:
      stride_head_ = 3 * head_dim;
      stride_seqlen_ = heads * stride_head_;
      stride_batch_ = seqlen * stride_seqlen_;
      break;
  }
  const std::size_t elements = 1 + offset(batch - 1, seqlen - 1, heads - 1) + head_dim - 1;
  memory_.assign(elements * 2 + 2 * kGuardBytes, static_cast<std::byte>(kPoison));
  if (layout == Layout::kPadded) {  // a stride whose extent is 1 is never used, and need not be aligned
    if (batch == 1) stride_batch_ = 3;
    if (seqlen == 1) stride_seqlen_ = 5;
    if (heads == 1) stride_head_ = 7;
  }
}

template <typename Visit>
void StridedTensor::for_each_row(const Visit& visit) {
  std::size_t row = 0;
  for (int b = 0; b < batch_; ++b) {
    for (int s = 0; s < seqlen_; ++s) {
      for (int h = 0; h < heads_; ++h) visit(row++, memory_.data() + kGuardBytes + 2 * offset(b, s, h));
    }
  }
}

void StridedTensor::pack_in(std::span<const std::uint16_t> packed) {
  for_each_row([&](std::size_t row, std::byte* at) { std::memcpy(at, &packed[row * head_dim_], 2 * head_dim_); });
}
std::vector<std::uint16_t> StridedTensor::take_out() {
  std::vector<std::uint16_t> packed(static_cast<std::size_t>(batch_) * seqlen_ * heads_ * head_dim_);
  for_each_row([&](std::size_t row, std::byte* at) {
    std::memcpy(&packed[row * head_dim_], at, 2 * head_dim_);
    std::memset(at, kPoison, 2 * head_dim_);
  });
  return packed;
}
/// Where bytes are no longer poison: "" if nowhere.
std::string first_change(const char* name, std::span<const std::byte> bytes) {
  const auto changed = std::ranges::find_if(bytes, [](std::byte b) { return b != static_cast<std::byte>(kPoison); });
  if (changed == bytes.end()) return "";
  return fmt::format("byte {} around {} was overwritten; ",
                     changed - bytes.begin() - static_cast<std::ptrdiff_t>(kGuardBytes), name);
}

}  // namespace flashmask::forward_tests
