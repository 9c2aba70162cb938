#include "runtime/device/tensor_box.h"

#include <fmt/format.h>

namespace flashmask {
namespace {

constexpr std::int64_t kElementBytes = 2;
constexpr std::int64_t kAlignment = 16;
constexpr std::int64_t kStrideLimit = std::int64_t{1} << 40;  // bytes

struct Axis {
  const char* name;
  std::int64_t extent;
  std::int64_t stride;
};

std::string broken_rule(const Axis& axis) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 32;
  if (axis.extent < 1 || axis.extent > kMostElements)
    return fmt::format("{} = {}: 1 to 2^32 are allowed in a tensor map", axis.name, axis.extent);
  if (axis.extent == 1) return {};
  if (axis.stride % (kAlignment / kElementBytes) != 0)
    return fmt::format("the {} stride is {} elements: a tensor map needs a multiple of {}", axis.name, axis.stride,
                       kAlignment / kElementBytes);
  if (axis.stride < 0 || axis.stride >= kStrideLimit / kElementBytes)
    return fmt::format("the {} stride is {} elements: a tensor map takes 0 to {}", axis.name, axis.stride,
                       kStrideLimit / kElementBytes - 1);
  return {};
}

std::uint64_t bytes_of(std::int64_t extent, std::int64_t stride) {
  return extent == 1 ? kAlignment : static_cast<std::uint64_t>(stride * kElementBytes);
}

}  // namespace

std::string broken_rule(const TensorBox& box) {
  if (box.data == 0 || box.data % kAlignment != 0)
    return fmt::format("the tensor is at 0x{:x}: a multiple of {} other than 0 is needed", box.data, kAlignment);
  for (const Axis& axis : {Axis{"columns", box.columns, 0}, Axis{"seqlen", box.seqlen, box.stride_seqlen},
                           Axis{"head", box.heads, box.stride_heads}, Axis{"batch", box.batch, box.stride_batch}})
    if (std::string rule = broken_rule(axis); !rule.empty()) return rule;
  if (box.box_columns != 16 && box.box_columns != 32 && box.box_columns != 64)
    return fmt::format("box_columns = {}: 16, 32 or 64 (a span of a swizzle) are allowed", box.box_columns);
  if (box.box_rows < 1 || box.box_rows > 256) return fmt::format("box_rows = {}: 1 to 256 are allowed", box.box_rows);
  return {};
}

BoxStrides strides_in_bytes(const TensorBox& box) {
  return {bytes_of(box.seqlen, box.stride_seqlen), bytes_of(box.heads, box.stride_heads),
          bytes_of(box.batch, box.stride_batch)};
}

}  // namespace flashmask
