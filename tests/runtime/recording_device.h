#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "flashmask/device.h"

namespace flashmask::testing {

/// A device that takes every kernel and writes down what it is asked to do, without allocating while it does.
class RecordingDevice final : public Device {
 public:
  explicit RecordingDevice(DeviceKind kind = DeviceKind::kEmulator, Target target = {}, int multiprocessors = 1) {
    properties_.kind = kind;
    properties_.target = target;
    properties_.multiprocessors = multiprocessors;
    properties_.name = "recorder";
  }
  const DeviceProperties& properties() const override { return properties_; }
  DevicePointer allocate(std::size_t) override { return 256; }
  void release(DevicePointer) noexcept override {}
  void copy_to_device(DevicePointer, std::span<const std::byte>, Stream) override {}
  void copy_to_host(std::span<std::byte>, DevicePointer, Stream) override {}
  void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream used_stream) override {
    filled = {
        .destination = destination, .value = value, .bytes = bytes, .stream = used_stream, .launches_before = launches};
  }
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
    std::memcpy(parameter_.data(), parameter.data(), std::min(parameter_.size(), parameter.size()));
  }
  /// The first byte of an encoding is how many there were before.
  EncodedTensorMap encode(const TensorBox& box) const override {
    EncodedTensorMap encoded;
    encoded.bytes[0] = static_cast<std::byte>(encodings);
    boxes.at(static_cast<std::size_t>(encodings++) % boxes.size()) = box;
    return encoded;
  }

  /// The parameter of the last launch.
  template <typename Arguments>
  Arguments arguments() const {
    if (parameter_bytes != sizeof(Arguments)) throw std::logic_error("the parameter is of another size");
    Arguments result;
    std::memcpy(static_cast<void*>(&result), parameter_.data(), sizeof result);
    return result;
  }

  struct Fill {
    DevicePointer destination = 0;
    std::uint8_t value = 0;
    std::size_t bytes = 0;
    Stream stream = nullptr;
    int launches_before = 0;
  };

  std::atomic<int> loads{0};
  std::vector<std::byte> loaded_cubin;
  std::string loaded_entry;
  std::uint32_t loaded_shared_bytes = 0;
  int launches = 0;
  LaunchGeometry geometry;
  Stream stream = nullptr;
  std::size_t parameter_bytes = 0;
  Fill filled;
  mutable int encodings = 0;
  mutable std::array<TensorBox, 4> boxes{};  ///< the last ones

 private:
  std::array<std::byte, 4096> parameter_{};
  DeviceProperties properties_;
};

}  // namespace flashmask::testing
