#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "flashmask/device.h"

namespace flashmask::forward_tests {

/// An emulated device that keeps the statistics of every launch apart.
class LaunchCounter final : public Device {
 public:
  explicit LaunchCounter(std::shared_ptr<Device> emulated) : emulated_(std::move(emulated)) {}

  /// Of the launches since the last call, in their order.
  std::vector<LaunchStatistics> take_launches() { return std::exchange(launches_, {}); }

  const DeviceProperties& properties() const override { return emulated_->properties(); }
  DevicePointer allocate(std::size_t bytes) override { return emulated_->allocate(bytes); }
  void release(DevicePointer pointer) noexcept override { emulated_->release(pointer); }
  void copy_to_device(DevicePointer destination, std::span<const std::byte> source, Stream stream) override {
    emulated_->copy_to_device(destination, source, stream);
  }
  void copy_to_host(std::span<std::byte> destination, DevicePointer source, Stream stream) override {
    emulated_->copy_to_host(destination, source, stream);
  }
  void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream stream) override {
    emulated_->fill(destination, value, bytes, stream);
  }
  void synchronize(Stream stream) override { emulated_->synchronize(stream); }
  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override {
    return emulated_->load(image, entry, shared_bytes);
  }
  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    emulated_->launch(kernel, geometry, parameter, stream);
    launches_.push_back(emulated_->take_statistics());
  }

 private:
  std::shared_ptr<Device> emulated_;
  std::vector<LaunchStatistics> launches_;
};

}  // namespace flashmask::forward_tests
