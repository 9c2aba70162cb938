#include <sys/prctl.h>

#include <csignal>
#include <iostream>
#include <utility>

#include "flashmask/tuner.h"
#include "runtime/tune/bench_protocol.h"
#include "runtime/tune/device_bench.h"
#include "runtime/tune/model_bench.h"

namespace flashmask {
namespace {

/// A bench that owns its runtime.
template <class OnRuntime>
class OwningBench final : public tune::Bench {
 public:
  OwningBench(std::unique_ptr<Runtime> runtime, const TuningProblem& problem)
      : runtime_(std::move(runtime)), bench_(*runtime_, problem) {}
  void check(const TileConfig& config) override { bench_.check(config); }
  tune::BenchTime time(const TileConfig& config, int samples) override { return bench_.time(config, samples); }

 private:
  std::unique_ptr<Runtime> runtime_;
  OnRuntime bench_;
};

std::unique_ptr<tune::Bench> make_bench(const tune::BenchJob& job) {
  Policy policy = Policy::from_environment();
  policy.cache_directory = job.cache_directory;
  // Every trial is another kernel, and none of them a request of the user's.
  policy.record_path.clear();
  policy.tuning_path.clear();
  policy.shipped_tuning = false;
  if (job.emulated) {
    auto device = open_emulated_device({.target = job.problem.descriptor.target});
    return std::make_unique<OwningBench<tune::ModelBench>>(
        std::make_unique<Runtime>(std::move(device), std::move(policy)), job.problem);
  }
  return std::make_unique<OwningBench<tune::DeviceBench>>(
      std::make_unique<Runtime>(open_cuda_device(job.ordinal), std::move(policy)), job.problem);
}

}  // namespace

int serve_tuner() {
  // A kernel that hangs would keep the process, and the GPU busy, when the tuner was killed.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return tune::serve_bench(std::cin, std::cout, make_bench);
}

}  // namespace flashmask
