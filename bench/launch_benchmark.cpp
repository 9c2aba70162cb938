// What a launch costs the host, on the GPU: ours, a prepared one, and the bare calls of the driver that it comes to,
// with the same function, geometry and parameters. Launches come in short bursts, so that the driver's queue is never
// full, and the GPU is waited for outside of what is timed.

#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "runtime/device/cuda_driver.h"
#include "tests/forward/forwarding_device.h"

namespace flashmask {
namespace {

constexpr int kBurst = 64, kBursts = 500;
constexpr int kSeqlen = 64, kHeads = 1, kDim = 64;

/// Keeps what the last launch came to: one kernel, and before it the clearing of its queue where it has one.
class KeepingDevice final : public forward_tests::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream stream) override {
    filled = {destination, bytes};
    ForwardingDevice::fill(destination, value, bytes, stream);
  }

  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    kept_geometry = geometry;
    kept_parameter.assign(parameter.begin(), parameter.end());
    ForwardingDevice::launch(kernel, geometry, parameter, stream);
  }

  struct Fill {
    DevicePointer destination = 0;
    std::size_t bytes = 0;
  };
  Fill filled;
  LaunchGeometry kept_geometry;
  std::vector<std::byte> kept_parameter;
};

/// A function of a cubin, loaded without the library's device.
class BareFunction {
 public:
  BareFunction(const CompiledKernel& kernel, std::uint32_t shared_bytes) : driver_(CudaDriver::get()) {
    CUdevice device = 0;
    driver_.check(driver_.device_get(&device, 0), "cuDeviceGet", "opening GPU 0");
    CUcontext context = nullptr;
    driver_.check(driver_.primary_context_retain(&context, device), "cuDevicePrimaryCtxRetain", "opening GPU 0");
    driver_.check(driver_.context_push_current(context), "cuCtxPushCurrent", "opening GPU 0");
    driver_.check(driver_.library_load_data(&library_, kernel.cubin.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
                  "cuLibraryLoadData", "loading a cubin");
    CUkernel loaded = nullptr;
    driver_.check(driver_.library_get_kernel(&loaded, library_, kernel.entry.c_str()), "cuLibraryGetKernel",
                  "loading a cubin");
    driver_.check(driver_.kernel_get_function(&function_, loaded), "cuKernelGetFunction", "loading a cubin");
    driver_.check(driver_.function_set_attribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                 static_cast<int>(shared_bytes)),
                  "cuFuncSetAttribute", "loading a cubin");
  }
  ~BareFunction() {
    driver_.library_unload(library_);
    CUcontext context = nullptr;
    driver_.context_pop_current(&context);
  }

  void launch(const KeepingDevice& kept) const {
    if (kept.filled.bytes)
      driver_.check(driver_.set_bytes(kept.filled.destination, 0, kept.filled.bytes, nullptr), "cuMemsetD8Async",
                    "clearing a queue");
    const LaunchGeometry& geometry = kept.kept_geometry;
    void* parameters[] = {const_cast<std::byte*>(kept.kept_parameter.data())};
    driver_.check(driver_.launch_kernel(function_, geometry.grid[0], geometry.grid[1], geometry.grid[2], geometry.block,
                                        1, 1, geometry.shared_bytes, nullptr, parameters, nullptr),
                  "cuLaunchKernel", "launching a kernel");
  }

 private:
  const CudaDriver& driver_;
  CUlibrary library_ = nullptr;
  CUfunction function_ = nullptr;
};

/// A causal forward of a few rows, for the target of the GPU.
struct Forward {
  std::shared_ptr<KeepingDevice> device = std::make_shared<KeepingDevice>(open_cuda_device());
  Runtime runtime{device};
  KernelDescriptor descriptor{
      .head_dim_qk = kDim, .head_dim_v = kDim, .mask_form = MaskForm::kCausal, .target = device->properties().target};
  std::shared_ptr<const Kernel> kernel = runtime.request(descriptor);
  DeviceBuffer tensor{device, std::size_t{kSeqlen} * kHeads* kDim * 2};
  DeviceBuffer output{device, std::size_t{kSeqlen} * kHeads* kDim * 2};
  ForwardLaunch arguments{.batch = 1,
                          .seqlen_q = kSeqlen,
                          .seqlen_k = kSeqlen,
                          .num_heads_q = kHeads,
                          .num_heads_kv = kHeads,
                          .query = TensorView::contiguous(tensor.get(), kSeqlen, kHeads, kDim),
                          .key = TensorView::contiguous(tensor.get(), kSeqlen, kHeads, kDim),
                          .value = TensorView::contiguous(tensor.get(), kSeqlen, kHeads, kDim),
                          .output = TensorView::contiguous(output.get(), kSeqlen, kHeads, kDim),
                          .softmax_scale = 0.125f};
  DeviceBuffer memory{device, kernel->workspace_size(arguments)};
  Workspace workspace{memory.get(), memory.bytes()};
};

/// Times bursts of `launch`(), per launch.
template <typename Launch>
void time_bursts(benchmark::State& state, Device& device, Launch launch) {
  device.synchronize(nullptr);
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kBurst; ++i) launch();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    device.synchronize(nullptr);
    state.SetIterationTime(taken.count() / kBurst);
  }
}

enum class Way { kBare, kPrepared, kLaunch };

void launch_on_the_gpu(benchmark::State& state, Way way) {
  try {
    Forward forward;
    const auto prepared = forward.kernel->prepare(forward.arguments, forward.workspace);
    prepared->launch();
    // A plain device from here on: what keeps launches is no part of them.
    const auto device = open_cuda_device();
    Runtime runtime(device);
    const auto kernel = runtime.request(forward.descriptor);
    const auto timed = kernel->prepare(forward.arguments, forward.workspace);
    switch (way) {
      case Way::kBare: {
        const BareFunction bare(runtime.compile(forward.descriptor), forward.device->kept_geometry.shared_bytes);
        time_bursts(state, *device, [&] { bare.launch(*forward.device); });
        break;
      }
      case Way::kPrepared:
        time_bursts(state, *device, [&] { timed->launch(); });
        break;
      case Way::kLaunch:
        time_bursts(state, *device, [&] { kernel->launch(forward.arguments, nullptr, forward.workspace); });
        break;
    }
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}
BENCHMARK_CAPTURE(launch_on_the_gpu, bare_driver_calls, Way::kBare)
    ->UseManualTime()
    ->Iterations(kBursts)
    ->Unit(benchmark::kNanosecond);
BENCHMARK_CAPTURE(launch_on_the_gpu, prepared, Way::kPrepared)
    ->UseManualTime()
    ->Iterations(kBursts)
    ->Unit(benchmark::kNanosecond);
BENCHMARK_CAPTURE(launch_on_the_gpu, with_all_rules, Way::kLaunch)
    ->UseManualTime()
    ->Iterations(kBursts)
    ->Unit(benchmark::kNanosecond);

}  // namespace
}  // namespace flashmask
