// Launches inside of CUDA graphs, on a GPU: what a replay leaves is what the launch leaves.

#include <cuda.h>
#include <cudaTypedefs.h>
#include <dlfcn.h>
#include <gmock/gmock.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "flashmask/device_masks.h"
#include "flashmask/mask_plan.h"
#include "small_problem.h"

namespace flashmask {
namespace {

using testing::is_backward;
using testing::Session;
using testing::SmallProblem;
using testing::Tested;

/// A function of the driver, of the version that its type names.
template <typename Function>
Function symbol(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* const found = library ? dlsym(library, name) : nullptr;
  if (!found) throw std::runtime_error(std::string("the driver has no ") + name);
  return reinterpret_cast<Function>(found);
}

void check(CUresult result, const char* call) {
  if (result != CUDA_SUCCESS) throw std::runtime_error(std::string(call) + ": " + std::to_string(result));
}

/// A stream, and what was captured on it.
class CapturedGraph {
 public:
  explicit CapturedGraph(const std::function<void(Stream)>& work) {
    CUdevice device = 0;
    check(symbol<PFN_cuDeviceGet_v2000>("cuDeviceGet")(&device, 0), "cuDeviceGet");
    CUcontext context = nullptr;
    check(symbol<PFN_cuDevicePrimaryCtxRetain_v7000>("cuDevicePrimaryCtxRetain")(&context, device), "retain");
    check(symbol<PFN_cuCtxSetCurrent_v4000>("cuCtxSetCurrent")(context), "cuCtxSetCurrent");
    check(symbol<PFN_cuStreamCreate_v2000>("cuStreamCreate")(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    check(symbol<PFN_cuStreamBeginCapture_v10010>("cuStreamBeginCapture_v2")(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL),
          "cuStreamBeginCapture");
    CUgraph graph = nullptr;
    try {
      work(stream_);
    } catch (...) {
      symbol<PFN_cuStreamEndCapture_v10000>("cuStreamEndCapture")(stream_, &graph);
      throw;
    }
    check(symbol<PFN_cuStreamEndCapture_v10000>("cuStreamEndCapture")(stream_, &graph), "cuStreamEndCapture");
    check(symbol<PFN_cuGraphInstantiateWithFlags_v11040>("cuGraphInstantiateWithFlags")(&executable_, graph, 0),
          "cuGraphInstantiateWithFlags");
    symbol<PFN_cuGraphDestroy_v10000>("cuGraphDestroy")(graph);
  }
  ~CapturedGraph() {
    if (executable_) symbol<PFN_cuGraphExecDestroy_v10000>("cuGraphExecDestroy")(executable_);
    if (stream_) symbol<PFN_cuStreamDestroy_v4000>("cuStreamDestroy_v2")(stream_);
  }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  /// Waits for the replay.
  void replay() const {
    check(symbol<PFN_cuGraphLaunch_v10000>("cuGraphLaunch")(executable_, stream_), "cuGraphLaunch");
    check(symbol<PFN_cuStreamSynchronize_v2000>("cuStreamSynchronize")(stream_), "cuStreamSynchronize");
  }

 private:
  CUstream stream_ = nullptr;
  CUgraphExec executable_ = nullptr;
};

/// The targets whose kernels the GPU runs: its own, and that of Ampere's instructions on Hopper.
std::vector<Target> targets_of(const Device& device) {
  const Target own = device.properties().target;
  if (own.arch_specific) return {own, Target{own.compute_capability, false}};
  return {own};
}

class GraphCapture : public ::testing::TestWithParam<Pass> {
 protected:
  const std::shared_ptr<Device> device_ = open_cuda_device();
};

TEST_P(GraphCapture, AReplayLeavesTheBytesOfALaunchAlsoWhenInputsHaveChanged) {
  for (const Target& target : targets_of(*device_)) {
    SCOPED_TRACE(to_string(target));
    const Tested tested{GetParam(), target};
    const Session session(device_, tested);
    const SmallProblem& problem = session.problem();
    const auto results_of = [&](const std::function<void()>& run) {
      problem.clear_results(tested.pass);
      device_->synchronize(nullptr);
      run();
      return problem.take_results(tested.pass);
    };
    const auto prepared = session.prepare();
    const CapturedGraph of_launch([&](Stream stream) { session.launch(stream); });
    const CapturedGraph of_prepared([&](Stream stream) { prepared->launch(stream); });
    for (int i = 0; i < 2; ++i) {
      const std::vector<std::byte> expected = results_of([&] { session.launch(); });
      EXPECT_NE(results_of([] {}), expected) << "nothing was cleared";
      EXPECT_EQ(results_of([&] { of_launch.replay(); }), expected);
      EXPECT_EQ(results_of([&] { of_prepared.replay(); }), expected);
      problem.draw_other_values();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pass, GraphCapture, ::testing::Values(Pass::kForward, Pass::kBackward),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST(GraphCaptureOfMasks, AReplayWritesTheMaskOfTheLengthsThatAreThereThen) {
  const std::shared_ptr<Device> device = open_cuda_device();
  Runtime runtime(device, forward_tests::tested_policy());
  constexpr int kSeqlen = 1000;
  const device_masks::Extents extents{1, kSeqlen, kSeqlen};
  const DeviceBuffer lengths(device, 3 * sizeof(std::int32_t));
  const DeviceBuffer intervals(device, device_masks::bytes_needed(MaskForm::kC1, extents));
  const auto set_boundary = [&](std::int32_t boundary) {
    const std::int32_t values[] = {0, boundary, kSeqlen};
    device->copy_to_device(lengths.get(), std::as_bytes(std::span(values)), nullptr);
  };
  const auto build = [&](Stream stream) {
    device_masks::causal_documents(runtime, extents, device_masks::CumulativeLengths{lengths.get(), 2},
                                   {intervals.get(), intervals.bytes()}, stream);
  };
  const auto starts = [&] {
    std::vector<std::int32_t> values(kSeqlen);
    device->copy_to_host(std::as_writable_bytes(std::span(values)), intervals.get(), nullptr);
    return values;
  };
  set_boundary(300);
  build(nullptr);  // loads the kernels
  EXPECT_EQ(starts()[0], 300);
  const CapturedGraph graph(build);
  for (const std::int32_t boundary : {700, 1}) {
    set_boundary(boundary);
    graph.replay();
    EXPECT_EQ(starts()[0], boundary);
    EXPECT_EQ(starts()[kSeqlen - 1], kSeqlen);
  }
}

}  // namespace
}  // namespace flashmask
