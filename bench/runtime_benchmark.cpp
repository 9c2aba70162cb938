// What the way of a request costs: the text, a kernel of this process, a kernel of the disk, a kernel never seen.

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "flashmask/kernel_cache.h"
#include "flashmask/runtime.h"
#include "generator/generate.h"
#include "runtime/logger.h"
#include "runtime/store/kernel_digest.h"
#include "runtime/store/kernel_store.h"

namespace flashmask {
namespace {

KernelDescriptor descriptor_of(int head_dim, MaskForm form = MaskForm::kC1) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.mask_form = form;
  return descriptor;
}

/// A cache directory of its own, removed at the end.
class ScratchCache {
 public:
  ScratchCache() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashmask-bench-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw Error(ErrorCode::kStorage, "no directory could be made as " + pattern);
    path_ = pattern;
  }
  ~ScratchCache() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Policy policy() const {
    Policy policy = Policy::from_environment();
    policy.cache_directory = path_;
    policy.cache_refusal.clear();
    return policy;
  }

 private:
  std::string path_;
};

void emit_text(benchmark::State& state) {
  const KernelDescriptor descriptor = descriptor_of(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(generator::generate(descriptor, default_tile_config(descriptor)));
  }
}
BENCHMARK(emit_text)->Arg(64)->Arg(128)->Unit(benchmark::kMicrosecond);

/// Threads share one runtime: a hit must not slow another down.
void hot_request(benchmark::State& state) {
  static const std::unique_ptr<ScratchCache> cache = std::make_unique<ScratchCache>();
  static Runtime runtime(open_emulated_device(), cache->policy());
  const KernelDescriptor descriptor = descriptor_of(64);
  runtime.request(descriptor);
  for (auto _ : state) benchmark::DoNotOptimize(runtime.request(descriptor));
}
BENCHMARK(hot_request)->ThreadRange(1, 2)->Unit(benchmark::kNanosecond);

/// Text, digest, the entry found, read and its checksum verified, its record parsed: to an image that a device can
/// load.
void hit_to_loadable_image(benchmark::State& state, bool packed) {
  const ScratchCache cache;
  const KernelDescriptor descriptor = descriptor_of(static_cast<int>(state.range(0)));
  Policy policy = cache.policy();
  Runtime(nullptr, policy).compile(descriptor);
  if (packed) {
    policy.packs = {policy.cache_directory + "/kernels.pack"};
    KernelCache(policy).export_pack(policy.packs.front());
  }
  Logger logger(policy);
  KernelStore store(policy, logger);
  std::size_t bytes = 0;
  for (auto _ : state) {
    const generator::KernelSource source = generator::generate(descriptor, default_tile_config(descriptor));
    const auto found = store.find(digest_of(source), source);
    if (!found) {
      state.SkipWithError("the kernel is not in the cache");
      break;
    }
    bytes = found->image.cubin.size() + found->image.ptx.size();
  }
  state.counters["image_bytes"] = static_cast<double>(bytes);
}

void disk_hit_to_loadable_image(benchmark::State& state) {
  hit_to_loadable_image(state, false);
}
BENCHMARK(disk_hit_to_loadable_image)->Arg(64)->Arg(128)->Unit(benchmark::kMicrosecond);

void pack_hit_to_loadable_image(benchmark::State& state) {
  hit_to_loadable_image(state, true);
}
BENCHMARK(pack_hit_to_loadable_image)->Arg(64)->Arg(128)->Unit(benchmark::kMicrosecond);

/// Text, NVRTC with ptxas, nothing stored; NVRTC is open already, as for every kernel of a process but the first.
void cold_compile(benchmark::State& state) {
  const KernelDescriptor descriptor = descriptor_of(static_cast<int>(state.range(0)));
  Policy policy = Policy::from_environment();
  policy.cache_directory.clear();
  policy.cache_refusal.clear();
  for (auto _ : state) {
    Runtime runtime(nullptr, policy);
    benchmark::DoNotOptimize(runtime.compile(descriptor));
  }
}
BENCHMARK(cold_compile)
    ->ArgName("head_dim")
    ->Arg(32)
    ->Arg(64)
    ->Arg(96)
    ->Arg(128)
    ->Arg(192)
    ->Arg(256)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(3)
    ->UseRealTime();

}  // namespace
}  // namespace flashmask
