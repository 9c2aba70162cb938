#include "flashmask/device.h"

#include <fmt/format.h>

#include <utility>

namespace flashmask {

// Out of line, so that the vtables lie in this library and nowhere else.
LoadedKernel::~LoadedKernel() = default;
Device::~Device() = default;
DeviceTimer::~DeviceTimer() = default;

std::unique_ptr<DeviceTimer> Device::make_timer() const {
  throw Error(ErrorCode::kUnsupported, fmt::format("{} has no clock", properties().name),
              "Measure on a GPU, or count what a launch does: take_statistics().");
}

DeviceBuffer::DeviceBuffer(std::shared_ptr<Device> device, std::size_t bytes)
    : device_(std::move(device)), pointer_(device_->allocate(bytes)), bytes_(bytes) {}

DeviceBuffer::~DeviceBuffer() {
  if (device_ && pointer_) device_->release(pointer_);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : device_(std::move(other.device_)),
      pointer_(std::exchange(other.pointer_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(pointer_, other.pointer_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace flashmask
