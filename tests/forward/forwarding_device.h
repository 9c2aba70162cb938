#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "flashmask/device.h"

namespace flashmask::forward_tests {

/// Hands every call on to another device; a test overrides the ones that it wants to see or change.
class ForwardingDevice : public Device {
 public:
  explicit ForwardingDevice(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  const DeviceProperties& properties() const override { return device_->properties(); }
  DevicePointer allocate(std::size_t bytes) override { return device_->allocate(bytes); }
  void release(DevicePointer pointer) noexcept override { device_->release(pointer); }
  void copy_to_device(DevicePointer destination, std::span<const std::byte> source, Stream stream) override {
    device_->copy_to_device(destination, source, stream);
  }
  void copy_to_host(std::span<std::byte> destination, DevicePointer source, Stream stream) override {
    device_->copy_to_host(destination, source, stream);
  }
  void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream stream) override {
    device_->fill(destination, value, bytes, stream);
  }
  void synchronize(Stream stream) override { device_->synchronize(stream); }
  bool is_capturing(Stream stream) const override { return device_->is_capturing(stream); }
  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override {
    return device_->load(image, entry, shared_bytes);
  }
  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    device_->launch(kernel, geometry, parameter, stream);
  }
  EncodedTensorMap encode(const TensorBox& box) const override { return device_->encode(box); }
  LaunchStatistics take_statistics() override { return device_->take_statistics(); }

 private:
  std::shared_ptr<Device> device_;
};

}  // namespace flashmask::forward_tests
