#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "flashmask/device.h"
#include "tests/mutants/mutation.h"

namespace flashmask::mutants {

/// An emulated device that changes one statement of one kernel when it is loaded, or, without a mutation, keeps the PTX
/// of what is loaded.
class MutatingDevice final : public Device {
 public:
  MutatingDevice(const EmulatorOptions& options, const Mutation* mutation)
      : device_(open_emulated_device(options)), mutation_(mutation) {}

  /// What was loaded, by entry.
  const std::map<std::string, std::string>& loaded() const { return loaded_; }

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
  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override;
  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    device_->launch(kernel, geometry, parameter, stream);
  }
  LaunchStatistics take_statistics() override { return device_->take_statistics(); }

 private:
  std::shared_ptr<Device> device_;
  const Mutation* mutation_;
  std::map<std::string, std::string> loaded_;
};

}  // namespace flashmask::mutants
