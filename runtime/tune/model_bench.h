#pragma once

#include "flashmask/runtime.h"
#include "flashmask/tuning_problem.h"
#include "runtime/tune/bench.h"
#include "runtime/tune/cost_model.h"

namespace flashmask::tune {

/// How ModelBench measures, with a version.
inline constexpr std::string_view kModelMethod = "cost model of emulated counts, 1";

/// Models the seconds of kernels on the emulator: counts what two small launches do, and scales it to the problem. The
/// same every time. The runtime, with an emulated device, must outlive it.
class ModelBench final : public Bench {
 public:
  ModelBench(Runtime& runtime, const TuningProblem& problem)
      : runtime_(runtime), problem_(problem), mask_(mask_of(problem)) {}
  void check(const TileConfig& config) override;
  BenchTime time(const TileConfig& config, int samples) override;

 private:
  struct Counted {
    WorkAmount work;
    LaunchStatistics statistics;
  };
  /// Launches the kernel on a square problem of so many of its longer tile side.
  Counted count(const Kernel& kernel, int tiles);

  Runtime& runtime_;
  TuningProblem problem_;
  Mask mask_;
};

/// The work that a mask leaves for tiles of this shape, over so many heads.
WorkAmount work_of(const KernelDescriptor& descriptor, const Mask& mask, const TileShape& tile, int heads);

}  // namespace flashmask::tune
