#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <string>

#include "flashmask/device.h"
#include "templates/forward_arguments.cuh"

namespace flashmask::testing {

/// A device that takes every kernel and writes down what it is asked to do, without allocating while it does.
class RecordingDevice final : public Device {
 public:
  explicit RecordingDevice(DeviceKind kind = DeviceKind::kEmulator, Target target = {}) {
    properties_.kind = kind;
    properties_.target = target;
    properties_.name = "recorder";
  }
  const DeviceProperties& properties() const override { return properties_; }
  DevicePointer allocate(std::size_t) override { return 256; }
  void release(DevicePointer) noexcept override {}
  void copy_to_device(DevicePointer, std::span<const std::byte>, Stream) override {}
  void copy_to_host(std::span<std::byte>, DevicePointer, Stream) override {}
  void fill(DevicePointer, std::uint8_t, std::size_t, Stream) override {}
  void synchronize(Stream) override {}
  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override {
    ++loads;
    loaded_cubin.assign(image.cubin.begin(), image.cubin.end());
    loaded_entry = entry;
    loaded_shared_bytes = shared_bytes;
    return std::make_shared<const LoadedKernel>();
  }
  void launch(const LoadedKernel&, const LaunchGeometry& used, std::span<const std::byte> parameter,
              Stream used_stream) override {
    ++launches;
    geometry = used;
    stream = used_stream;
    parameter_bytes = parameter.size();
    std::memcpy(&arguments, parameter.data(), std::min(sizeof arguments, parameter.size()));
  }

  EncodedTensorMap encode(const TensorBox&) const override { return {}; }

  std::atomic<int> loads{0};
  std::vector<std::byte> loaded_cubin;
  std::string loaded_entry;
  std::uint32_t loaded_shared_bytes = 0;
  int launches = 0;
  LaunchGeometry geometry;
  Stream stream = nullptr;
  std::size_t parameter_bytes = 0;
  ForwardArguments arguments{};

 private:
  DeviceProperties properties_;
};

}  // namespace flashmask::testing
