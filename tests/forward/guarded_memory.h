#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flashmask/device.h"
#include "flashmask/runtime.h"
#include "tests/forward/launch.h"

namespace flashmask::forward_tests {

inline constexpr std::size_t kGuardBytes = 1024;
inline constexpr std::uint8_t kPoison = 0xFF;  // as fp16, bf16 and fp32: NaN

/// A [batch, seqlen, heads, head_dim] tensor of 16-bit elements in memory of the host, with gaps and guards around it.
class StridedTensor {
 public:
  StridedTensor(Layout layout, int batch, int seqlen, int heads, int head_dim);

  void pack_in(std::span<const std::uint16_t> packed);
  /// Takes the rows out, packed, and leaves poison where they were.
  std::vector<std::uint16_t> take_out();
  std::vector<std::byte>& memory() { return memory_; }
  TensorView view(DevicePointer allocation) const {
    return {allocation + kGuardBytes, stride_batch_, stride_seqlen_, stride_head_};
  }

 private:
  std::size_t offset(std::int64_t b, std::int64_t s, std::int64_t h) const {
    return static_cast<std::size_t>(b * stride_batch_ + s * stride_seqlen_ + h * stride_head_);
  }
  template <typename Visit>
  void for_each_row(const Visit& visit);

  int batch_, seqlen_, heads_, head_dim_;
  std::int64_t stride_batch_ = 0, stride_seqlen_ = 0, stride_head_ = 0;
  std::vector<std::byte> memory_;
};

/// Devices are owned by the test; an allocation must not outlive this call.
class Allocation {
 public:
  Allocation(Device& device, std::span<const std::byte> bytes)
      : device_(device), pointer_(device.allocate(bytes.size())) {
    device_.copy_to_device(pointer_, bytes, nullptr);
  }
  ~Allocation() { device_.release(pointer_); }
  Allocation(const Allocation&) = delete;
  DevicePointer get() const { return pointer_; }

 private:
  Device& device_;
  DevicePointer pointer_;
};

/// Where bytes are no longer poison: "" if nowhere.
std::string first_change(const char* name, std::span<const std::byte> bytes);

}  // namespace flashmask::forward_tests
