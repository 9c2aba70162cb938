#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "tests/forward/forwarding_device.h"

namespace flashmask::forward_tests {

/// An emulated device that keeps the statistics of every launch apart.
class LaunchCounter final : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  /// Of the launches since the last call, in their order.
  std::vector<LaunchStatistics> take_launches() { return std::exchange(launches_, {}); }

  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    ForwardingDevice::launch(kernel, geometry, parameter, stream);
    launches_.push_back(ForwardingDevice::take_statistics());
  }

 private:
  std::vector<LaunchStatistics> launches_;
};

}  // namespace flashmask::forward_tests
