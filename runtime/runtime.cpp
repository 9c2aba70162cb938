#include "flashmask/runtime.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "cache/single_flight.h"
#include "generator/generate.h"
#include "generator/kernel_family.h"
#include "runtime/backward_kernel.h"
#include "runtime/compile/compiler.h"
#include "runtime/device_mask/build_kernels.h"
#include "runtime/explanation.h"
#include "runtime/forward_kernel.h"
#include "runtime/forward_sm90_kernel.h"
#include "runtime/kernel_table.h"
#include "runtime/logger.h"
#include "runtime/manifest/request_recorder.h"
#include "runtime/nearest_entry.h"
#include "runtime/plan/plan_kernels.h"
#include "runtime/precompile_command.h"
#include "runtime/refusal.h"
#include "runtime/store/kernel_digest.h"
#include "runtime/store/kernel_store.h"
#include "runtime/target_match.h"
#include "runtime/toolchain.h"
#include "runtime/tune/tuned_table.h"

namespace flashmask {
namespace {

/// Nanoseconds spent in one phase, summed over threads.
using PhaseTime = std::atomic<std::uint64_t>;

/// Adds the life of a scope to a phase.
class PhaseTimer {
 public:
  explicit PhaseTimer(PhaseTime& phase) : phase_(phase), begin_(std::chrono::steady_clock::now()) {}
  ~PhaseTimer() {
    const auto spent = std::chrono::steady_clock::now() - begin_;
    phase_.fetch_add(static_cast<std::uint64_t>(std::chrono::nanoseconds(spent).count()), std::memory_order_relaxed);
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  PhaseTime& phase_;
  std::chrono::steady_clock::time_point begin_;
};

double seconds_of(const PhaseTime& phase) {
  return static_cast<double>(phase.load(std::memory_order_relaxed)) * 1e-9;
}

std::uint64_t count_of(const std::atomic<std::uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

void count(std::atomic<std::uint64_t>& counter) {
  counter.fetch_add(1, std::memory_order_relaxed);
}

/// The text of a request; every broken rule in one error.
generator::KernelSource source_of(const KernelDescriptor& descriptor, const RequestOptions& options) {
  try {
    // A configuration is judged only for a legal descriptor: its limits follow from it.
    if (std::vector<std::string> rules = broken_rules(descriptor); !rules.empty())
      throw generator::InvalidRequest(std::move(rules));
    return generator::generate(descriptor, options.config ? *options.config : default_tile_config(descriptor));
  } catch (const generator::InvalidRequest& refusal) {
    throw error_of(descriptor, refusal);
  }
}

/// Neither the cache nor the compiler gives a kernel, or not now: what another configuration may not share.
bool may_default_serve(ErrorCode code) {
  return code == ErrorCode::kNotCached || code == ErrorCode::kNotFound || code == ErrorCode::kCompile ||
         code == ErrorCode::kCapturing;
}

/// Without a device nothing runs here; what is looked up then is what a GPU would load.
PtxNeed ptx_need_of(const Device* device) {
  return device && device->properties().kind == DeviceKind::kEmulator ? PtxNeed::kRequired : PtxNeed::kOptional;
}

}  // namespace

struct Runtime::State {
  State(std::shared_ptr<Device> used_device, Policy used_policy)
      : device(std::move(used_device)),
        policy(std::move(used_policy)),
        logger(policy),
        recorder(policy.record_path, logger),
        tuned(policy, logger),
        store(policy, logger, ptx_need_of(device.get())),
        compiler(policy) {
    if (device) tuned.open();  // where requests can be made, which would wait for it
  }

  std::shared_ptr<Device> device;
  Policy policy;
  Logger logger;
  RequestRecorder recorder;
  tune::TunedTable tuned;
  KernelStore store;
  compile::Compiler compiler;
  KernelTable table;
  cache::SingleFlight<std::shared_ptr<const StoredKernel>> images;
  cache::SingleFlight<std::shared_ptr<const Kernel>> kernels;
  cache::SingleFlight<std::shared_ptr<const PlanKernels>> plans;
  cache::SingleFlight<std::shared_ptr<const BuildKernels>> builds;
  std::mutex mask_mutex;  // of the two maps
  std::map<std::pair<MaskForm, CausalAlignment>, std::shared_ptr<const PlanKernels>> plan_kernels;
  std::map<MaskForm, std::shared_ptr<const BuildKernels>> build_kernels;

  // A hot request touches hot_hits alone: what was requested and served from memory is summed up on demand.
  std::atomic<std::uint64_t> hot_hits{0};
  std::atomic<std::uint64_t> other_requests{0};
  std::atomic<std::uint64_t> other_memory_hits{0};
  std::atomic<std::uint64_t> disk_hits{0};
  std::atomic<std::uint64_t> pack_hits{0};
  std::atomic<std::uint64_t> compiles{0};
  std::atomic<std::uint64_t> stores{0};
  std::atomic<std::uint64_t> failed_stores{0};
  PhaseTime generating{0};
  PhaseTime looking{0};
  PhaseTime compiling{0};
  PhaseTime loading{0};

  /// The key of a request: the hint takes part where tuning may have chosen for its bucket.
  RequestKey key_of(const KernelDescriptor& descriptor, const RequestOptions& options) const {
    if (options.config || !tuned.is_active() || !device) return {descriptor, options.config, {}};
    return {descriptor, std::nullopt, bucket_of(options.hint)};
  }

  /// The options with the configuration that tuning chose, where the caller leaves it open. Of a legal descriptor of
  /// this device; any other one is left to be refused.
  RequestOptions with_tuned_config(const KernelDescriptor& descriptor, RequestOptions options,
                                   Explanation* explanation = nullptr) {
    if (options.config || !device || !is_attention(descriptor.pass) || !broken_rules(descriptor).empty() ||
        refuse_target(descriptor.target, device->properties()))
      return options;
    const auto choice = tuned.find(device->properties(), descriptor, options.hint,
                                   explanation ? &explanation->tuning_passed_over : nullptr);
    if (!choice) return options;
    options.config = choice->config;
    if (explanation) {
      explanation->config_source = choice->source;
      explanation->config_reason = choice->reason;
    } else {
      logger.debug(fmt::format("\"{}\": {}: {}", to_string(descriptor), to_string(choice->source), choice->reason));
    }
    return options;
  }

  generator::KernelSource generate(const KernelDescriptor& descriptor, const RequestOptions& options) {
    const PhaseTimer timer(generating);
    return source_of(descriptor, options);
  }

  /// The images of a kernel: of this process, from the disk, or compiled now. `made` tells that this call did the work.
  std::shared_ptr<const StoredKernel> obtain(const cache::Digest& digest, const generator::KernelSource& source,
                                             bool& made) {
    return images.run(digest, [&] {
      made = true;
      std::shared_ptr<const StoredKernel> found;
      {
        const PhaseTimer timer(looking);
        found = store.find(digest, source);
      }
      if (found) {
        const bool is_packed = found->origin == KernelOrigin::kPack;
        count(is_packed ? pack_hits : disk_hits);
        logger.debug(fmt::format("{}: from {}", to_string(source.descriptor), is_packed ? "a pack" : "the cache"));
        return found;
      }
      refuse_to_compile_under_policy(source);
      // Held until the kernel is stored: of many processes that start at once, one compiles it.
      const KernelStore::Claim claim = store.claim(digest, source);
      if (claim.found) {
        count(disk_hits);
        logger.debug(fmt::format("{}: compiled by another process", to_string(source.descriptor)));
        return claim.found;
      }
      return compile(digest, source);
    });
  }

  /// Whether a request would be served without compiling.
  bool is_there(const cache::Digest& digest, const generator::KernelSource& source) const {
    return images.has(digest) || store.look(digest, source).origin.has_value();
  }

  void refuse_to_compile_under_policy(const generator::KernelSource& source) const {
    if (!policy.no_jit) return;
    std::string unusable;
    for (const std::string& refusal : store.unusable()) unusable += fmt::format("; {}", refusal);
    throw Error(ErrorCode::kNotCached,
                fmt::format("\"{}\" ({}) is not in {}, and compiling is forbidden (FLASHMASK_NO_JIT){}",
                            to_string(source.descriptor), to_string(source.config), store.places(), unusable),
                precompile_hint(policy, source.descriptor, source.config));
  }

  std::shared_ptr<const StoredKernel> compile(const cache::Digest& digest, const generator::KernelSource& source) {
    auto kernel = std::make_shared<StoredKernel>();
    {
      const PhaseTimer timer(compiling);
      kernel->compilation = compiler.compile(source.text, source.entry, source.descriptor.target);
    }
    const compile::Compilation& compiled = kernel->compilation;
    count(compiles);
    if (!accepts_toolchain(policy.toolchain, toolchain_tag(compiled.toolchain)))
      throw Error(ErrorCode::kNotFound,
                  fmt::format("the toolchain {} is demanded, the kernel is not in the cache with it, and the compiler "
                              "here is {} ({})",
                              policy.toolchain, compiled.toolchain, compiler.nvrtc()->path()),
                  "Name an NVRTC of that version with FLASHMASK_NVRTC, or set FLASHMASK_TOOLCHAIN=any.");
    kernel->origin = KernelOrigin::kCompiled;
    kernel->image = {compiled.cubin, std::as_bytes(std::span(compiled.ptx))};
    KernelRecord& record = kernel->record;
    record = {source.descriptor, source.config, source.entry, compiled.resources, compiled.toolchain, compiled.log};
    record.resources.dynamic_shared_bytes = source.shared_bytes;
    logger.info(fmt::format("compiled \"{}\" ({}) with {} in {:.3f} s: {} registers, {} + {} bytes spilled",
                            to_string(source.descriptor), to_string(source.config), compiled.toolchain,
                            compiled.seconds, record.resources.registers, record.resources.spill_store_bytes,
                            record.resources.spill_load_bytes));
    for (const std::string& warning : compiled.warnings)
      logger.warning(fmt::format("{}: {}", to_string(source.descriptor), warning));
    if (store.enabled()) count(store.publish(digest, *kernel) ? stores : failed_stores);
    return kernel;
  }

  /// What a descriptor becomes on this device: made by `load` once per kernel, from images that are found or compiled.
  template <typename Loaded, typename Load>
  std::shared_ptr<const Loaded> load_once(cache::SingleFlight<std::shared_ptr<const Loaded>>& flights,
                                          const KernelDescriptor& descriptor, const RequestOptions& options,
                                          Load&& load) {
    if (!device)
      throw Error(ErrorCode::kInvalidArgument, "this runtime has no device: it can compile kernels, not load them",
                  "Make it with open_cuda_device() or open_emulated_device().");
    const generator::KernelSource source = generate(descriptor, options);
    if (auto refusal = refuse_target(descriptor.target, device->properties()))
      throw Error(ErrorCode::kUnsupported, *refusal,
                  fmt::format("Request target {}.", to_string(device->properties().target)));
    recorder.note({descriptor, options.config});
    const cache::Digest digest = digest_of(source);
    if (options.stream && !flights.has(digest) && device->is_capturing(*options.stream))
      throw Error(ErrorCode::kCapturing,
                  fmt::format("\"{}\" ({}) is not loaded, and its stream is being captured", to_string(descriptor),
                              to_string(source.config)),
                  "Request it once before the capture begins; then a request is a lookup.");
    bool made = false;
    std::shared_ptr<const Loaded> loaded = flights.run(digest, [&]() -> std::shared_ptr<const Loaded> {
      const std::shared_ptr<const StoredKernel> stored = obtain(digest, source, made);
      const PhaseTimer timer(loading);
      return load(digest, source, *stored);
    });
    if (!made) count(other_memory_hits);
    return loaded;
  }

  std::shared_ptr<const Kernel> load_kernel(const KernelDescriptor& descriptor, const RequestOptions& options) {
    return load_once(kernels, descriptor, options,
                     [&](const cache::Digest& digest, const generator::KernelSource& source,
                         const StoredKernel& stored) -> std::shared_ptr<const Kernel> {
                       if (source.descriptor.pass == Pass::kBackward)
                         return std::make_shared<const BackwardKernel>(device, source, stored, digest.hex());
                       if (generator::uses_wgmma(source.descriptor))
                         return std::make_shared<const ForwardSm90Kernel>(device, source, stored, digest.hex());
                       return std::make_shared<const ForwardKernel>(device, source, stored, digest.hex());
                     });
  }

  /// Tuning is for speed alone: a request that would succeed without it does so with it.
  std::shared_ptr<const Kernel> load_tuned(const KernelDescriptor& descriptor, const RequestOptions& tuned_options,
                                           const RequestOptions& asked) {
    try {
      return load_kernel(descriptor, tuned_options);
    } catch (const Error& error) {
      if (!may_default_serve(error.code())) throw;
      std::shared_ptr<const Kernel> usual;
      try {
        usual = load_kernel(descriptor, asked);
      } catch (const Error& second) {
        if (!may_default_serve(second.code())) throw;
      }
      if (!usual) throw;  // the first one: what it says to compile is the better kernel
      if (error.code() != ErrorCode::kCapturing)
        logger.warning(fmt::format("the kernel that tuning chose cannot be had, the default {} serves: {}",
                                   to_string(usual->config()), error.what()));
      return usual;
    }
  }

  std::shared_ptr<const Kernel> request_cold(const RequestKey& key, const RequestOptions& asked) {
    if (!is_attention(key.descriptor.pass)) {
      const bool is_plan = key.descriptor.pass == Pass::kMaskPlan;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" is not launched by itself: {} it", to_string(key.descriptor),
                              is_plan ? "a MaskPlan requests" : "the functions of device_masks.h request"),
                  fmt::format("{}; Runtime::compile() puts its kernels into the cache.",
                              is_plan ? "Make a MaskPlan" : "Call one of them"));
    }
    count(other_requests);
    const RequestOptions options = with_tuned_config(key.descriptor, asked);
    if (options.config == asked.config || options.config == default_tile_config(key.descriptor)) {
      std::shared_ptr<const Kernel> kernel = load_kernel(key.descriptor, options);
      table.insert(key, kernel);
      return kernel;
    }
    std::shared_ptr<const Kernel> kernel = load_tuned(key.descriptor, options, asked);
    // One that serves only while a stream is captured is not kept; one that serves for want of the tuned one is, or
    // every request would look for that again.
    const bool is_for_now = kernel->config() != options.config && asked.stream && device->is_capturing(*asked.stream);
    if (!is_for_now) table.insert(key, kernel);
    return kernel;
  }
};

Runtime::Runtime(std::shared_ptr<Device> device, Policy policy)
    : state_(std::make_unique<State>(std::move(device), std::move(policy))) {}
Runtime::~Runtime() = default;

std::shared_ptr<const Kernel> Runtime::request(const KernelDescriptor& descriptor, const RequestOptions& options) {
  const RequestKey key = state_->key_of(descriptor, options);
  if (const std::shared_ptr<const Kernel>* kernel = state_->table.find(key)) {
    count(state_->hot_hits);
    return *kernel;
  }
  return state_->request_cold(key, options);
}

std::shared_ptr<const PlanKernels> Runtime::plan_kernels(MaskForm form, CausalAlignment alignment,
                                                         std::optional<Stream> stream) {
  State& state = *state_;
  const std::pair key(form, alignment);
  {
    std::lock_guard lock(state.mask_mutex);
    if (const auto found = state.plan_kernels.find(key); found != state.plan_kernels.end()) return found->second;
  }
  count(state.other_requests);
  const Target target = state.device ? state.device->properties().target : Target{};
  RequestOptions options;
  options.stream = stream;
  auto kernels =
      state.load_once(state.plans, KernelDescriptor::mask_plan(form, alignment, target), options,
                      [&](const cache::Digest&, const generator::KernelSource& source, const StoredKernel& stored) {
                        return std::make_shared<const PlanKernels>(state.device, source, stored);
                      });
  std::lock_guard lock(state.mask_mutex);
  return state.plan_kernels.emplace(key, std::move(kernels)).first->second;
}

std::shared_ptr<const BuildKernels> Runtime::build_kernels(MaskForm form, std::optional<Stream> stream) {
  State& state = *state_;
  {
    std::lock_guard lock(state.mask_mutex);
    if (const auto found = state.build_kernels.find(form); found != state.build_kernels.end()) return found->second;
  }
  count(state.other_requests);
  const Target target = state.device ? state.device->properties().target : Target{};
  RequestOptions options;
  options.stream = stream;
  auto kernels =
      state.load_once(state.builds, KernelDescriptor::mask_build(form, target), options,
                      [&](const cache::Digest&, const generator::KernelSource& source, const StoredKernel& stored) {
                        return std::make_shared<const BuildKernels>(state.device, source, stored);
                      });
  std::lock_guard lock(state.mask_mutex);
  return state.build_kernels.emplace(form, std::move(kernels)).first->second;
}

CompiledKernel Runtime::compile(const KernelDescriptor& descriptor, const RequestOptions& options) {
  State& state = *state_;
  count(state.other_requests);
  generator::KernelSource source = state.generate(descriptor, state.with_tuned_config(descriptor, options));
  const cache::Digest digest = digest_of(source);
  bool made = false;
  const std::shared_ptr<const StoredKernel> stored = state.obtain(digest, source, made);
  if (!made) count(state.other_memory_hits);

  const auto* ptx = reinterpret_cast<const char*>(stored->image.ptx.data());
  CompiledKernel kernel;
  kernel.descriptor = source.descriptor;
  kernel.config = source.config;
  kernel.digest = digest.hex();
  kernel.entry = std::move(source.entry);
  kernel.source = std::move(source.text);
  kernel.ptx.assign(ptx, stored->image.ptx.size());
  kernel.cubin.assign(stored->image.cubin.begin(), stored->image.cubin.end());
  kernel.log = stored->record.log;
  kernel.toolchain = stored->record.toolchain;
  kernel.resources = stored->record.resources;
  kernel.origin = made ? stored->origin : KernelOrigin::kMemory;
  if (made) kernel.compile_seconds = stored->compilation.seconds;  // of what was found: 0
  return kernel;
}

void Runtime::forget_images(const std::string& digest) {
  if (const auto parsed = cache::Digest::from_hex(digest)) state_->images.forget(*parsed);
}

Explanation Runtime::explain(const KernelDescriptor& descriptor, const RequestOptions& options) const {
  State& state = *state_;
  Explanation by_tuning;
  generator::KernelSource source = source_of(descriptor, state.with_tuned_config(descriptor, options, &by_tuning));
  cache::Digest digest = digest_of(source);
  if (by_tuning.config_source != ConfigSource::kDefault && state.policy.no_jit && !state.is_there(digest, source)) {
    // As load_tuned() does it.
    generator::KernelSource usual = source_of(descriptor, options);
    if (const cache::Digest usual_digest = digest_of(usual); state.is_there(usual_digest, usual)) {
      by_tuning.tuning_passed_over.push_back(
          fmt::format("{}: its kernel is not in the cache, and compiling is forbidden", by_tuning.config_reason));
      by_tuning.config_source = ConfigSource::kDefault;
      source = std::move(usual);
      digest = usual_digest;
    }
  }
  Explanation explanation = explain_source(source, options.config);
  explanation.tuning_passed_over = std::move(by_tuning.tuning_passed_over);
  if (by_tuning.config_source != ConfigSource::kDefault) {
    explanation.config_source = by_tuning.config_source;
    explanation.config_reason = std::move(by_tuning.config_reason);
  }
  explanation.may_compile = !state.policy.no_jit;
  explanation.cache_directory = state.policy.cache_directory;
  KernelStore::Sighting seen = state.store.look(digest, source);
  if (state.images.has(digest))
    explanation.origin = KernelOrigin::kMemory;
  else
    explanation.origin = seen.origin.value_or(KernelOrigin::kCompiled);
  if (explanation.origin == KernelOrigin::kCompiled)
    explanation.nearest =
        nearest_entry({explanation.digest, explanation.descriptor, explanation.config, state.policy.toolchain},
                      state.store.kernels());
  explanation.cache_pack = std::move(seen.pack);
  explanation.cache_file = std::move(seen.file);
  explanation.toolchain = std::move(seen.toolchain);
  explanation.cache_miss = std::move(seen.miss);
  return explanation;
}

std::vector<TileConfig> Runtime::tuned_configs(const KernelDescriptor& descriptor) const {
  if (!is_attention(descriptor.pass) || !broken_rules(descriptor).empty()) return {};
  return state_->tuned.configs_of(descriptor);
}

std::string Runtime::source(const KernelDescriptor& descriptor, const RequestOptions& options) {
  return source_of(descriptor, options).text;
}

const std::shared_ptr<Device>& Runtime::device() const {
  return state_->device;
}
const Policy& Runtime::policy() const {
  return state_->policy;
}

RuntimeCounters Runtime::counters() const {
  const State& state = *state_;
  const std::uint64_t hot_hits = count_of(state.hot_hits);
  return {.requests = hot_hits + count_of(state.other_requests),
          .memory_hits = hot_hits + count_of(state.other_memory_hits),
          .disk_hits = count_of(state.disk_hits),
          .pack_hits = count_of(state.pack_hits),
          .compiles = count_of(state.compiles),
          .stores = count_of(state.stores),
          .failed_stores = count_of(state.failed_stores),
          .generate_seconds = seconds_of(state.generating),
          .lookup_seconds = seconds_of(state.looking),
          .compile_seconds = seconds_of(state.compiling),
          .load_seconds = seconds_of(state.loading)};
}

Kernel::~Kernel() = default;
PreparedLaunch::~PreparedLaunch() = default;

namespace {

[[noreturn]] void refuse_pass(const Kernel& kernel, std::string_view arguments) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" is given the arguments of a {} launch", to_string(kernel.descriptor()), arguments),
              fmt::format("Request a kernel whose pass is {}, or give this one what its pass takes.", arguments));
}

}  // namespace

std::size_t Kernel::workspace_size(const ForwardLaunch&) const {
  refuse_pass(*this, "forward");
}
std::size_t Kernel::workspace_size(const BackwardLaunch&) const {
  refuse_pass(*this, "backward");
}
void Kernel::launch(const ForwardLaunch&, Stream, Workspace) const {
  refuse_pass(*this, "forward");
}
void Kernel::launch(const BackwardLaunch&, Stream, Workspace) const {
  refuse_pass(*this, "backward");
}
std::unique_ptr<const PreparedLaunch> Kernel::prepare(const ForwardLaunch&, Workspace) const {
  refuse_pass(*this, "forward");
}
std::unique_ptr<const PreparedLaunch> Kernel::prepare(const BackwardLaunch&, Workspace) const {
  refuse_pass(*this, "backward");
}

std::string_view to_string(KernelOrigin origin) {
  switch (origin) {
    case KernelOrigin::kMemory:
      return "memory";
    case KernelOrigin::kDisk:
      return "disk";
    case KernelOrigin::kCompiled:
      return "compiled";
    case KernelOrigin::kPack:
      return "pack";
  }
  return "unknown";
}

}  // namespace flashmask
