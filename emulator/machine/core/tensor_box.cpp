#include "emulator/machine/core/tensor_box.h"

#include <algorithm>

#include <fmt/format.h>

namespace flashmask::emulator {
namespace {

constexpr std::uint32_t kSharedAlignment = 128;
constexpr std::uint32_t kChunkBytes = 16;
constexpr std::uint32_t kLineBytes = 128;

std::uint32_t swizzled(std::uint32_t address, std::uint32_t span) {
  const std::uint32_t chunks = span / kChunkBytes;
  return address ^ address / kLineBytes % chunks * kChunkBytes;
}

}  // namespace

TensorBox::TensorBox(const TensorMap& map, std::span<const std::int32_t> coordinates, std::uint32_t shared)
    : map_(map),
      coordinates_given_(coordinates.size()),
      shared_(shared),
      row_bytes_(map.box[0] * size_of(map.element)) {
  std::copy_n(coordinates.begin(), std::min(coordinates.size(), first_.size()), first_.begin());
  for (std::uint32_t i = 1; i < map.rank; ++i) {
    extents_[i] = (map.box[i] + map.element_strides[i] - 1) / map.element_strides[i];
  }
}

std::string TensorBox::broken_rule() const {
  if (coordinates_given_ != map_.rank) {
    return fmt::format("{} coordinates are given for a tensor of {} dimensions", coordinates_given_, map_.rank);
  }
  if (shared_ % kSharedAlignment != 0) {
    return fmt::format("the box is at shared+{:#x}: a multiple of 128 is needed", shared_);
  }
  const std::int64_t bytes = first_[0] * static_cast<std::int64_t>(size_of(map_.element));
  if (bytes % kChunkBytes != 0) {
    return fmt::format(
        "the box starts at element {} of dimension 0, {} bytes from the start of a row: a multiple of 16 bytes is "
        "needed",
        first_[0], bytes);
  }
  constexpr std::uint64_t kMostBytes = 232448;
  std::uint64_t needed = std::max(span_of(map_.swizzle), row_bytes_);
  for (const std::uint32_t extent : extents_) needed *= extent;
  if (needed > kMostBytes) {
    return fmt::format("the box takes {} bytes of shared memory: no CTA has more than {}", needed, kMostBytes);
  }
  return {};
}

std::uint32_t TensorBox::rows() const {
  return extents_[1] * extents_[2] * extents_[3] * extents_[4];
}

std::uint32_t TensorBox::bytes() const {
  return rows() * row_bytes_;
}

std::vector<BoxRun> TensorBox::runs() const {
  std::vector<BoxRun> result;
  const std::uint32_t count = rows();
  result.reserve(map_.swizzle == TensorSwizzle::kNone ? count : std::size_t{count} * row_bytes_ / kChunkBytes);
  for (std::uint32_t row = 0; row < count; ++row) add_row(row, result);
  return result;
}

void TensorBox::add_row(std::uint32_t row, std::vector<BoxRun>& runs) const {
  bool outside = false;
  std::uint64_t address = map_.address;
  for (std::uint32_t i = 1, rest = row; i < map_.rank; rest /= extents_[i], ++i) {
    const std::int64_t at = first_[i] + std::int64_t{rest % extents_[i]} * map_.element_strides[i];
    outside = outside || at < 0 || static_cast<std::uint64_t>(at) >= map_.sizes[i];
    address += static_cast<std::uint64_t>(at) * map_.strides[i - 1];
  }
  // In bytes of the tensor's row.
  const std::int64_t start = first_[0] * static_cast<std::int64_t>(size_of(map_.element));
  const auto size = static_cast<std::int64_t>(map_.sizes[0] * size_of(map_.element));
  const std::uint32_t span = span_of(map_.swizzle);
  const std::uint32_t place = shared_ + row * std::max(span, row_bytes_);
  // The bytes [from, to) of the box's row.
  const auto add = [&](std::int64_t from, std::int64_t to, bool inside) {
    while (from < to) {
      const std::int64_t next = span == 0 ? to : std::min(to, from / kChunkBytes * kChunkBytes + kChunkBytes);
      const std::uint32_t plain = place + static_cast<std::uint32_t>(from);
      runs.push_back({.shared = span == 0 ? plain : swizzled(plain, span),
                      .bytes = static_cast<std::uint32_t>(next - from),
                      .global = inside ? address + static_cast<std::uint64_t>(start + from) : 0,
                      .inside = inside});
      from = next;
    }
  };
  const std::int64_t bytes = row_bytes_;
  const std::int64_t begin = outside ? bytes : std::clamp<std::int64_t>(-start, 0, bytes);
  const std::int64_t end = outside ? bytes : std::clamp<std::int64_t>(size - start, begin, bytes);
  add(0, begin, false);
  add(begin, end, true);
  add(end, bytes, false);
}

void fill_outside(const TensorMap& map, std::span<std::byte> bytes) {
  // Little-endian halves; runs start at multiples of an element, which are even when NaN is possible.
  constexpr std::byte kNan[] = {std::byte{0xf7}, std::byte{0x7f}};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = map.fills_with_nan ? kNan[i % 2] : std::byte{0};
}

}  // namespace flashmask::emulator
