#pragma once

#include <map>
#include <memory>
#include <vector>

#include "flashmask/runtime.h"
#include "flashmask/tuning_problem.h"
#include "runtime/device/gpu_clock.h"
#include "runtime/tune/bench.h"
#include "runtime/tune/bench_tensors.h"

namespace flashmask::tune {

/// How DeviceBench measures, with a version: raise it when seconds are no longer comparable.
inline constexpr std::string_view kDeviceMethod = "events, cold L2, N(0,1), 1";

/// Times kernels of a problem on a GPU, with its events; before each sample L2 is overwritten. The runtime must outlive
/// it.
class DeviceBench final : public Bench {
 public:
  /// Throws Error where the problem does not fit the device.
  DeviceBench(Runtime& runtime, const TuningProblem& problem);
  /// Against the fp64 reference on a small problem, then against the default configuration on the whole one.
  void check(const TileConfig& config) override;
  BenchTime time(const TileConfig& config, int samples) override;

 private:
  std::shared_ptr<const Kernel> kernel_of(const TileConfig& config);
  void run_once(const Kernel& kernel);

  Runtime& runtime_;
  TuningProblem problem_;
  BenchTensors tensors_;
  std::unique_ptr<DeviceTimer> timer_;
  GpuClockReader clock_;
  DeviceBuffer flushed_;
  std::vector<float> expected_;  ///< what the default configuration writes
};

}  // namespace flashmask::tune
