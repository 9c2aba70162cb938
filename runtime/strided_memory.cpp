#include "runtime/strided_memory.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <tuple>

namespace flashmask {
namespace {

constexpr std::int64_t kElementBytes = 2;
// More than any device has, and little enough that sums of spans stay in 64 bits.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 56;

/// Two tensors beside each other, their axes from the innermost outwards. Both take the same steps on an axis, or none;
/// the axes on which their steps differ lie within `widths_[0]`.
class Pair {
 public:
  Pair(const StridedMemory& a, const StridedMemory& b)
      : widths_{{{a.row_bytes, b.row_bytes}}},
        a_is_solid_(a.row_bytes == a.span_bytes),
        b_is_solid_(b.row_bytes == b.span_bytes) {
    for (std::size_t i = 0; i < kAxes; ++i) {
      const StridedMemory::Axis &of_a = a.axes[i], &of_b = b.axes[i];
      if (of_a.extent > 1 && of_b.extent > 1 && of_a.stride != of_b.stride) {
        widths_[0].a += (of_a.extent - 1) * of_a.stride;
        widths_[0].b += (of_b.extent - 1) * of_b.stride;
        is_exact_ = false;
      } else {
        steps_[i] = {std::max(of_a.stride, of_b.stride), of_a.extent, of_b.extent};
      }
    }
    std::ranges::sort(steps_, {}, &Step::stride);
    for (std::size_t i = 0; i < kAxes; ++i)
      widths_[i + 1] = {widths_[i].a + (steps_[i].extent_a - 1) * steps_[i].stride,
                        widths_[i].b + (steps_[i].extent_b - 1) * steps_[i].stride};
  }

  /// `distance`: from the first byte of a to that of b.
  Overlap overlap(std::int64_t distance) const { return overlap(kAxes, distance); }

 private:
  static constexpr std::size_t kAxes = std::tuple_size_v<decltype(StridedMemory::axes)>;
  struct Step {
    std::int64_t stride = 0, extent_a = 1, extent_b = 1;
  };
  struct Widths {
    std::int64_t a, b;
  };

  /// Of what lies within the innermost `level` axes.
  Overlap overlap(std::size_t level, std::int64_t distance) const {
    if (distance >= widths_[level].a || -distance >= widths_[level].b) return Overlap::kNone;
    if (level == 0) return is_exact_ ? Overlap::kSome : Overlap::kUnknown;
    const Step& step = steps_[level - 1];
    const Widths& inner = widths_[level - 1];
    if (step.stride == 0) return overlap(level - 1, distance);
    if (step.stride < std::max(a_is_solid_ ? 0 : inner.a, b_is_solid_ ? 0 : inner.b)) return Overlap::kUnknown;
    // Position i of a and j of b are distance - (i - j) * stride apart. Where no inside is wider than a stride, only
    // the two differences that leave less than a stride can bring them together. One without gaps may be wider: it
    // meets all that begins within it, of which the nearest is enough, and at most one that began before.
    const std::int64_t below = distance / step.stride - (distance % step.stride < 0 ? 1 : 0);
    Overlap found = Overlap::kNone;
    for (const std::int64_t nearest : {below, below + 1}) {
      const std::int64_t difference = std::clamp(nearest, 1 - step.extent_b, step.extent_a - 1);
      const Overlap inside = overlap(level - 1, distance - difference * step.stride);
      if (inside == Overlap::kSome) return inside;
      if (inside == Overlap::kUnknown) found = inside;
    }
    return found;
  }

  std::array<Step, kAxes> steps_{};
  std::array<Widths, kAxes + 1> widths_;
  bool a_is_solid_, b_is_solid_;  // without gaps
  bool is_exact_ = true;
};

}  // namespace

StridedMemory memory_of(const TensorView& tensor, int batch, int seqlen, int heads, int head_dim) {
  StridedMemory memory{.first = tensor.data, .row_bytes = head_dim * kElementBytes, .span_bytes = 0, .axes = {}};
  memory.span_bytes = memory.row_bytes;
  const std::array<StridedMemory::Axis, 3> axes{
      {{batch, tensor.stride_batch}, {seqlen, tensor.stride_seqlen}, {heads, tensor.stride_head}}};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].extent <= 1 || axes[i].stride == 0) continue;
    const std::int64_t stride = std::abs(axes[i].stride) * kElementBytes;
    const std::int64_t reach = (axes[i].extent - 1) * stride;
    if (axes[i].stride < 0) memory.first -= static_cast<DevicePointer>(reach);
    memory.axes[i] = {axes[i].extent, stride};
    memory.span_bytes += reach;
  }
  // Rows without gaps between them are one row.
  for (std::size_t pass = 0; pass < axes.size(); ++pass)
    for (StridedMemory::Axis& axis : memory.axes)
      if (axis.stride == memory.row_bytes) {
        memory.row_bytes *= axis.extent;
        axis = {};
      }
  return memory;
}

StridedMemory array_memory(DevicePointer address, std::uint64_t rows, std::uint64_t row_bytes) {
  const bool fits = row_bytes == 0 || rows <= kMostBytes / row_bytes;
  const auto bytes = static_cast<std::int64_t>(fits ? rows * row_bytes : kMostBytes);
  return {.first = address, .row_bytes = bytes, .span_bytes = bytes, .axes = {}};
}

Overlap overlap_of(const StridedMemory& a, const StridedMemory& b) {
  if (a.row_bytes == 0 || b.row_bytes == 0) return Overlap::kNone;
  // Unsigned differences: right even where an address wraps around.
  if (b.first - a.first >= static_cast<std::uint64_t>(a.span_bytes) &&
      a.first - b.first >= static_cast<std::uint64_t>(b.span_bytes))
    return Overlap::kNone;
  if (a.first == b.first) return Overlap::kSome;
  return Pair(a, b).overlap(static_cast<std::int64_t>(b.first - a.first));
}

}  // namespace flashmask
