#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tests/forward/forwarding_device.h"

namespace flashmask::forward_tests {

/// A device as if it had another number of multiprocessors. Keeps the grids of its launches.
class ResizedDevice final : public ForwardingDevice {
 public:
  ResizedDevice(std::shared_ptr<Device> device, int multiprocessors)
      : ForwardingDevice(std::move(device)), properties_(ForwardingDevice::properties()) {
    properties_.multiprocessors = multiprocessors;
  }

  const DeviceProperties& properties() const override { return properties_; }
  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    grids_.push_back(geometry.grid[0]);
    ForwardingDevice::launch(kernel, geometry, parameter, stream);
  }

  /// Numbers of CTAs, in the order of the launches.
  const std::vector<std::uint32_t>& grids() const { return grids_; }

 private:
  DeviceProperties properties_;
  std::vector<std::uint32_t> grids_;
};

}  // namespace flashmask::forward_tests
