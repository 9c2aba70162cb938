#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "flashmask/device_masks.h"
#include "flashmask/flashmask.h"
#include "flashmask/runtime.h"
#include "runtime/path_list.h"
#include "runtime/toolchain.h"

// The handles of the C interface.
struct fm_device {
  std::shared_ptr<flashmask::Device> device;
};
struct fm_runtime {
  std::unique_ptr<flashmask::Runtime> runtime;
};
struct fm_kernel {
  std::shared_ptr<const flashmask::Kernel> kernel;
};
struct fm_prepared {
  std::unique_ptr<const flashmask::PreparedLaunch> launch;
};

namespace {

using flashmask::Error;
using flashmask::ErrorCode;

/// The last failure of this thread.
struct Failure {
  std::string message;
  std::string hint;
};
thread_local Failure last_failure;

fm_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return FM_INVALID_ARGUMENT;
    case ErrorCode::kUnsupported:
      return FM_UNSUPPORTED;
    case ErrorCode::kNotFound:
      return FM_NOT_FOUND;
    case ErrorCode::kCompile:
      return FM_COMPILE;
    case ErrorCode::kDevice:
      return FM_DEVICE;
    case ErrorCode::kStorage:
      return FM_STORAGE;
    case ErrorCode::kNotCached:
      return FM_NOT_CACHED;
    case ErrorCode::kInternal:
      return FM_INTERNAL;
  }
  return FM_INTERNAL;
}

fm_status remember(fm_status status, const char* message, const char* hint) noexcept {
  try {
    last_failure.message = message;
    last_failure.hint = hint;
  } catch (...) {
    // Without memory for the words, the status alone has to do.
    last_failure.message.clear();
    last_failure.hint.clear();
  }
  return status;
}

/// Runs the body of a function; no exception gets past it.
template <typename Body>
fm_status guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return FM_OK;
  } catch (const Error& error) {
    return remember(status_of(error.code()), error.what(), error.hint().c_str());
  } catch (const std::bad_alloc&) {
    return remember(FM_OUT_OF_MEMORY, "out of host memory", "");
  } catch (const std::exception& error) {
    return remember(FM_INTERNAL, error.what(), "");
  } catch (...) {
    return remember(FM_INTERNAL, "an unknown exception", "");
  }
}

[[noreturn]] void refuse(const std::string& message, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, message, hint);
}

template <typename Pointee>
Pointee& needed(Pointee* pointer, const char* name) {
  if (!pointer) refuse(fmt::format("{} is null", name));
  return *pointer;
}

std::size_t checked_size(std::size_t size, const char* name) {
  if (size < sizeof(std::size_t))
    refuse(fmt::format("{}.struct_size = {}: it must be sizeof({})", name, size, name),
           fmt::format("Set it, or let fm_init_*() fill the struct: {0} x = {{sizeof({0})}};", name));
  return size;
}

/// A caller's struct over the defaults: missing fields of an older caller keep theirs; what a newer caller says beyond
/// this library's struct must be zero, for it cannot be heeded.
template <typename Struct>
Struct taken(const Struct* given, const Struct& defaults, const char* name) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  const std::size_t size = checked_size(needed(given, name).struct_size, name);
  Struct result = defaults;
  std::memcpy(static_cast<void*>(&result), given, std::min(size, sizeof(Struct)));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  // No struct is ever near a page; a larger size is garbage and its bytes are not looked at.
  if (size > 4096 ||
      std::any_of(bytes + std::min(size, sizeof(Struct)), bytes + size, [](unsigned char b) { return b != 0; }))
    refuse(fmt::format("{} has {} bytes with fields that this library, version {}, does not know", name, size,
                       flashmask::version()),
           "Use a library as new as the header that the caller was built with.");
  result.struct_size = sizeof(Struct);
  return result;
}

/// Fills a caller's struct as far as the caller knows it.
template <typename Struct>
void give(Struct* into, Struct filled, const char* name) {
  const std::size_t size = checked_size(needed(into, name).struct_size, name);
  filled.struct_size = size;
  std::memcpy(static_cast<void*>(into), &filled, std::min(size, sizeof(Struct)));
}

template <std::size_t Size>
void copy_text(char (&into)[Size], const std::string& text) {
  const std::size_t length = std::min(text.size(), Size - 1);
  std::memcpy(into, text.data(), length);
  into[length] = '\0';
}

/// The enumerator of a C value, which may be any integer.
template <typename Enum>
Enum enumerator(int value, int last, const char* name) {
  if (value < 0 || value > last) refuse(fmt::format("{} = {}: 0 to {} is allowed", name, value, last));
  return static_cast<Enum>(value);
}

flashmask::Target target_of(const char* text) {
  const auto target = flashmask::parse_target(text);
  if (!target) refuse(fmt::format("target \"{}\" is unknown: {} are allowed", text, flashmask::known_targets()));
  return *target;
}

std::string text_or_empty(const char* text) {
  return text ? text : "";
}

std::optional<flashmask::LogLevel> log_level_of(int level) {
  const int checked = enumerator<int>(level, FM_LOG_OFF, "log_level");
  if (checked == FM_LOG_OFF) return std::nullopt;
  return static_cast<flashmask::LogLevel>(checked);
}

fm_policy default_policy() {
  return {.struct_size = sizeof(fm_policy),
          .cache_directory = nullptr,
          .nvrtc_path = nullptr,
          .toolchain = nullptr,
          .no_jit = 0,
          .log_level = FM_LOG_WARNING,
          .log = nullptr,
          .log_user = nullptr,
          .cache_bytes = flashmask::kDefaultCacheBytes,
          .packs = nullptr,
          .embedded_packs = nullptr,
          .num_embedded_packs = 0,
          .read_only_directories = nullptr};
}

fm_descriptor default_descriptor() {
  return {.struct_size = sizeof(fm_descriptor),
          .pass = FM_PASS_FORWARD,
          .dtype = FM_BFLOAT16,
          .head_dim_qk = 128,
          .head_dim_v = 128,
          .mask_form = FM_MASK_NONE,
          .causal_alignment = FM_BOTTOM_RIGHT,
          .target = nullptr,
          .deterministic = 0};
}

fm_forward_args default_forward_args() {
  fm_forward_args args{};
  args.struct_size = sizeof args;
  args.num_heads_mask = 1;
  args.window_left = -1;
  args.window_right = -1;
  return args;
}

fm_backward_args default_backward_args() {
  fm_backward_args args{};
  args.struct_size = sizeof args;
  return args;
}

std::vector<std::string> paths_of(const char* text, const char* name) {
  auto paths = flashmask::parse_path_list(text_or_empty(text));
  if (!paths) refuse(fmt::format("{} = \"{}\": absolute paths with ':' between are needed", name, text));
  return std::move(*paths);
}

std::vector<std::span<const std::byte>> embedded_packs_of(const fm_policy& policy) {
  std::vector<std::span<const std::byte>> packs;
  if (policy.num_embedded_packs != 0 && !policy.embedded_packs) refuse("embedded_packs is null");
  for (std::size_t i = 0; i < policy.num_embedded_packs; ++i) {
    const fm_bytes& bytes = policy.embedded_packs[i];
    if (!bytes.data && bytes.size != 0) refuse(fmt::format("embedded_packs[{}].data is null", i));
    packs.emplace_back(static_cast<const std::byte*>(bytes.data), bytes.size);
  }
  return packs;
}

flashmask::Policy policy_of(const fm_policy* given) {
  if (!given) return flashmask::Policy::from_environment();
  const fm_policy c_policy = taken(given, default_policy(), "fm_policy");
  flashmask::Policy policy;
  policy.cache_directory = text_or_empty(c_policy.cache_directory);
  if (!policy.cache_directory.empty() && policy.cache_directory.front() != '/')
    refuse(fmt::format("cache_directory = \"{}\": an absolute path is needed", policy.cache_directory));
  if (c_policy.cache_bytes != 0) policy.cache_bytes = c_policy.cache_bytes;
  policy.packs = paths_of(c_policy.packs, "packs");
  policy.embedded_packs = embedded_packs_of(c_policy);
  policy.read_only_directories = paths_of(c_policy.read_only_directories, "read_only_directories");
  policy.nvrtc_path = text_or_empty(c_policy.nvrtc_path);
  policy.toolchain = text_or_empty(c_policy.toolchain);
  if (!flashmask::is_toolchain_policy(policy.toolchain))
    refuse(fmt::format("toolchain = \"{}\": null, a major version (13) or a build (13.0.88) is allowed",
                       policy.toolchain));
  policy.no_jit = c_policy.no_jit != 0;
  policy.log_level = log_level_of(c_policy.log_level);
  if (c_policy.log)
    policy.log = [log = c_policy.log, user = c_policy.log_user](flashmask::LogLevel level, const std::string& message) {
      log(static_cast<fm_log_level>(level), message.c_str(), user);
    };
  return policy;
}

flashmask::KernelDescriptor descriptor_of(const fm_runtime& runtime, const fm_descriptor* given) {
  const fm_descriptor c_descriptor = taken(given, default_descriptor(), "fm_descriptor");
  flashmask::KernelDescriptor descriptor;
  descriptor.pass = enumerator<flashmask::Pass>(c_descriptor.pass, FM_PASS_BACKWARD, "pass");
  descriptor.dtype = enumerator<flashmask::DataType>(c_descriptor.dtype, FM_BFLOAT16, "dtype");
  descriptor.head_dim_qk = c_descriptor.head_dim_qk;
  descriptor.head_dim_v = c_descriptor.head_dim_v;
  descriptor.mask_form = enumerator<flashmask::MaskForm>(c_descriptor.mask_form, FM_MASK_F4, "mask_form");
  descriptor.causal_alignment =
      enumerator<flashmask::CausalAlignment>(c_descriptor.causal_alignment, FM_TOP_LEFT, "causal_alignment");
  descriptor.deterministic = c_descriptor.deterministic != 0;
  if (c_descriptor.target)
    descriptor.target = target_of(c_descriptor.target);
  else if (const auto& device = runtime.runtime->device())
    descriptor.target = device->properties().target;
  else
    refuse("target is null, and this runtime has no device whose target could be taken",
           fmt::format("Name one of {}.", flashmask::known_targets()));
  return descriptor;
}

flashmask::RequestOptions options_of(const fm_tile_config* given) {
  flashmask::RequestOptions options;
  if (!given) return options;
  const fm_tile_config config = taken(given, fm_tile_config{}, "fm_tile_config");
  options.config = flashmask::TileConfig{.tile_q = config.tile_q,
                                         .tile_k = config.tile_k,
                                         .warps = config.warps,
                                         .stages = config.stages,
                                         .query_in_registers = config.query_in_registers != 0,
                                         .column_warps = config.column_warps == 0 ? 1 : config.column_warps,
                                         .overlap = config.overlap != 0,
                                         .turns = config.turns != 0,
                                         .query_slots = config.query_slots == 0 ? 1 : config.query_slots};
  return options;
}

flashmask::TensorView view_of(const fm_tensor& tensor) {
  return {tensor.data, tensor.stride_batch, tensor.stride_seqlen, tensor.stride_head};
}

/// The C caller names a plan's memory and tiles; that it is of the launch's mask is taken on trust.
flashmask::PlanView plan_of(const fm_forward_args& args, const flashmask::KernelDescriptor& descriptor) {
  if (args.plan == 0) return {};
  return {.data = args.plan,
          .bytes = args.plan_bytes,
          .mask = {.form = descriptor.mask_form,
                   .causal_alignment = descriptor.causal_alignment,
                   .batch = args.batch,
                   .num_heads = args.num_heads_mask,
                   .seqlen_q = args.seqlen_q,
                   .seqlen_k = args.seqlen_k},
          .tile = {args.plan_tile_q, args.plan_tile_k}};
}

flashmask::ForwardLaunch launch_of(const fm_forward_args* given, const flashmask::KernelDescriptor& descriptor) {
  const fm_forward_args args = taken(given, default_forward_args(), "fm_forward_args");
  return {.batch = args.batch,
          .seqlen_q = args.seqlen_q,
          .seqlen_k = args.seqlen_k,
          .num_heads_q = args.num_heads_q,
          .num_heads_kv = args.num_heads_kv,
          .num_heads_mask = args.num_heads_mask,
          .query = view_of(args.query),
          .key = view_of(args.key),
          .value = view_of(args.value),
          .output = view_of(args.output),
          .lse = args.lse,
          .startend_row_indices = args.startend_row_indices,
          .softmax_scale = args.softmax_scale,
          .window_left = args.window_left,
          .window_right = args.window_right,
          .plan = plan_of(args, descriptor)};
}

flashmask::BackwardLaunch launch_of(const fm_backward_args* given, const flashmask::KernelDescriptor& descriptor) {
  const fm_backward_args args = taken(given, default_backward_args(), "fm_backward_args");
  return {.forward = launch_of(&needed(args.forward, "fm_backward_args.forward"), descriptor),
          .output_gradient = view_of(args.output_gradient),
          .lse_gradient = args.lse_gradient,
          .query_gradient = view_of(args.query_gradient),
          .key_gradient = view_of(args.key_gradient),
          .value_gradient = view_of(args.value_gradient)};
}

/// Of fm_forward_args or fm_backward_args.
template <typename Arguments>
void prepare(const fm_kernel* kernel, const Arguments* args, const flashmask::Workspace& workspace,
             fm_prepared** prepared) {
  fm_prepared*& into = needed(prepared, "prepared");
  const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
  into = new fm_prepared{used.prepare(launch_of(args, used.descriptor()), workspace)};
}

fm_mask_shape default_mask_shape() {
  fm_mask_shape mask{};
  mask.struct_size = sizeof mask;
  mask.batch = 1;
  mask.num_heads = 1;
  mask.window_left = -1;
  mask.window_right = -1;
  return mask;
}

flashmask::MaskShape mask_of(const fm_mask_shape* given) {
  const fm_mask_shape mask = taken(given, default_mask_shape(), "fm_mask_shape");
  return {.form = enumerator<flashmask::MaskForm>(mask.form, FM_MASK_F4, "form"),
          .causal_alignment =
              enumerator<flashmask::CausalAlignment>(mask.causal_alignment, FM_TOP_LEFT, "causal_alignment"),
          .batch = mask.batch,
          .num_heads = mask.num_heads,
          .seqlen_q = mask.seqlen_q,
          .seqlen_k = mask.seqlen_k,
          .window_left = mask.window_left,
          .window_right = mask.window_right};
}

/// The extents of a mask that is written on the device, whose shape says nothing that would not be so.
flashmask::device_masks::Extents written_extents_of(const flashmask::MaskShape& mask) {
  if (!(mask == flashmask::MaskShape{
                    .form = mask.form, .batch = mask.batch, .seqlen_q = mask.seqlen_q, .seqlen_k = mask.seqlen_k}))
    refuse(
        fmt::format("the mask has num_heads = {}, {}, windows ({}, {}): one head, bottom-right and (-1, -1) is what "
                    "is written",
                    mask.num_heads, flashmask::to_string(mask.causal_alignment), mask.window_left, mask.window_right),
        "Begin with fm_init_mask_shape().");
  return {mask.batch, mask.seqlen_q, mask.seqlen_k};
}

void check_form(const flashmask::MaskShape& mask, flashmask::MaskForm needed) {
  if (mask.form != needed)
    refuse(fmt::format("the mask has form {}: this one is {}", flashmask::to_string(mask.form),
                       flashmask::to_string(needed)));
}

/// Documents from lengths or ids, causal or not as the form says.
template <typename Source>
void write_documents(flashmask::Runtime& runtime, const flashmask::MaskShape& mask, const Source& source,
                     const flashmask::device_masks::Output& output, void* stream) {
  const flashmask::device_masks::Extents extents = written_extents_of(mask);
  if (mask.form == flashmask::MaskForm::kC1) {
    flashmask::device_masks::causal_documents(runtime, extents, source, output, stream);
  } else {
    check_form(mask, flashmask::MaskForm::kF2);
    flashmask::device_masks::documents(runtime, extents, source, output, stream);
  }
}

template <typename Pointer>
void check_host_range(Pointer pointer, std::size_t bytes, const char* name) {
  if (!pointer && bytes) refuse(fmt::format("{} is null", name));
}

}  // namespace

static_assert(FM_PASS_BACKWARD == static_cast<int>(flashmask::Pass::kBackward) &&
              FM_MASK_F4 == static_cast<int>(flashmask::MaskForm::kF4) &&
              FM_BFLOAT16 == static_cast<int>(flashmask::DataType::kBfloat16) &&
              FM_TOP_LEFT == static_cast<int>(flashmask::CausalAlignment::kTopLeft) &&
              FM_COMPILED == static_cast<int>(flashmask::KernelOrigin::kCompiled) &&
              FM_FROM_PACK == static_cast<int>(flashmask::KernelOrigin::kPack) &&
              FM_LOG_ERROR == static_cast<int>(flashmask::LogLevel::kError));

extern "C" {

const char* fm_version(void) {
  return flashmask::version();
}
const char* fm_last_error(void) {
  return last_failure.message.c_str();
}
const char* fm_last_hint(void) {
  return last_failure.hint.c_str();
}

const char* fm_status_name(int status) {
  switch (status) {
    case FM_OK:
      return "ok";
    case FM_INVALID_ARGUMENT:
      return "invalid argument";
    case FM_UNSUPPORTED:
      return "unsupported";
    case FM_NOT_FOUND:
      return "not found";
    case FM_COMPILE:
      return "compile error";
    case FM_DEVICE:
      return "device error";
    case FM_STORAGE:
      return "storage error";
    case FM_NOT_CACHED:
      return "not cached";
    case FM_INTERNAL:
      return "internal error";
    case FM_OUT_OF_MEMORY:
      return "out of memory";
  }
  return "unknown status";
}

fm_status fm_device_open_cuda(int ordinal, fm_device** device) {
  return guarded([&] { needed(device, "device") = new fm_device{flashmask::open_cuda_device(ordinal)}; });
}

fm_status fm_device_open_emulator(const char* target, uint64_t seed, fm_device** device) {
  return guarded([&] {
    flashmask::EmulatorOptions options;
    if (target) options.target = target_of(target);
    options.seed = seed;
    needed(device, "device") = new fm_device{flashmask::open_emulated_device(options)};
  });
}

void fm_device_release(fm_device* device) {
  delete device;
}

fm_status fm_device_get_info(const fm_device* device, fm_device_info* info) {
  return guarded([&] {
    const flashmask::DeviceProperties& properties = needed(device, "device").device->properties();
    fm_device_info filled{};
    filled.is_emulator = properties.kind == flashmask::DeviceKind::kEmulator;
    copy_text(filled.name, properties.name);
    copy_text(filled.target, flashmask::to_string(properties.target));
    filled.multiprocessors = properties.multiprocessors;
    filled.shared_bytes_per_block = properties.shared_bytes_per_block;
    filled.memory_bytes = properties.memory_bytes;
    give(info, filled, "fm_device_info");
  });
}

fm_status fm_device_alloc(fm_device* device, size_t bytes, uint64_t* address) {
  return guarded([&] {
    uint64_t& into = needed(address, "address");
    into = needed(device, "device").device->allocate(bytes);
  });
}

fm_status fm_device_free(fm_device* device, uint64_t address) {
  return guarded([&] { needed(device, "device").device->release(address); });
}

fm_status fm_device_copy_in(fm_device* device, uint64_t destination, const void* source, size_t bytes, void* stream) {
  return guarded([&] {
    check_host_range(source, bytes, "source");
    needed(device, "device")
        .device->copy_to_device(destination, {static_cast<const std::byte*>(source), bytes}, stream);
  });
}

fm_status fm_device_copy_out(fm_device* device, void* destination, uint64_t source, size_t bytes, void* stream) {
  return guarded([&] {
    check_host_range(destination, bytes, "destination");
    needed(device, "device").device->copy_to_host({static_cast<std::byte*>(destination), bytes}, source, stream);
  });
}

fm_status fm_device_fill(fm_device* device, uint64_t destination, int value, size_t bytes, void* stream) {
  return guarded([&] {
    needed(device, "device").device->fill(destination, enumerator<std::uint8_t>(value, 255, "value"), bytes, stream);
  });
}

fm_status fm_device_synchronize(fm_device* device, void* stream) {
  return guarded([&] { needed(device, "device").device->synchronize(stream); });
}

void fm_init_policy(fm_policy* policy) {
  if (policy) *policy = default_policy();
}

fm_status fm_policy_from_environment(fm_policy* policy) {
  return guarded([&] {
    thread_local flashmask::Policy owner;
    thread_local std::string packs, read_only_directories;
    owner = flashmask::Policy::from_environment();
    packs = flashmask::to_path_list(owner.packs);
    read_only_directories = flashmask::to_path_list(owner.read_only_directories);
    fm_policy filled = default_policy();
    filled.cache_directory = owner.cache_directory.c_str();
    filled.cache_bytes = owner.cache_bytes;
    filled.packs = packs.c_str();
    filled.read_only_directories = read_only_directories.c_str();
    filled.nvrtc_path = owner.nvrtc_path.c_str();
    filled.toolchain = owner.toolchain.c_str();
    filled.no_jit = owner.no_jit;
    filled.log_level = owner.log_level ? static_cast<fm_log_level>(*owner.log_level) : FM_LOG_OFF;
    give(policy, filled, "fm_policy");
  });
}

fm_status fm_runtime_create(fm_device* device, const fm_policy* policy, fm_runtime** runtime) {
  return guarded([&] {
    fm_runtime*& into = needed(runtime, "runtime");
    auto made = std::make_unique<flashmask::Runtime>(device ? device->device : nullptr, policy_of(policy));
    into = new fm_runtime{std::move(made)};
  });
}

void fm_runtime_release(fm_runtime* runtime) {
  delete runtime;
}

fm_status fm_runtime_get_counters(const fm_runtime* runtime, fm_counters* counters) {
  return guarded([&] {
    const flashmask::RuntimeCounters counted = needed(runtime, "runtime").runtime->counters();
    give(counters,
         fm_counters{.struct_size = sizeof(fm_counters),
                     .requests = counted.requests,
                     .memory_hits = counted.memory_hits,
                     .disk_hits = counted.disk_hits,
                     .compiles = counted.compiles,
                     .stores = counted.stores,
                     .failed_stores = counted.failed_stores,
                     .generate_seconds = counted.generate_seconds,
                     .lookup_seconds = counted.lookup_seconds,
                     .compile_seconds = counted.compile_seconds,
                     .load_seconds = counted.load_seconds,
                     .pack_hits = counted.pack_hits},
         "fm_counters");
  });
}

void fm_init_descriptor(fm_descriptor* descriptor) {
  if (descriptor) *descriptor = default_descriptor();
}

void fm_init_forward_args(fm_forward_args* args) {
  if (args) *args = default_forward_args();
}

void fm_init_backward_args(fm_backward_args* args) {
  if (args) *args = default_backward_args();
}

fm_status fm_runtime_request(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_tile_config* config,
                             fm_kernel** kernel) {
  return guarded([&] {
    fm_kernel*& into = needed(kernel, "kernel");
    const fm_runtime& used = needed(runtime, "runtime");
    into = new fm_kernel{used.runtime->request(descriptor_of(used, descriptor), options_of(config))};
  });
}

fm_status fm_runtime_compile(fm_runtime* runtime, const fm_descriptor* descriptor, const fm_tile_config* config,
                             fm_origin* origin) {
  return guarded([&] {
    const fm_runtime& used = needed(runtime, "runtime");
    const auto compiled = used.runtime->compile(descriptor_of(used, descriptor), options_of(config));
    if (origin) *origin = static_cast<fm_origin>(compiled.origin);
  });
}

void fm_kernel_release(fm_kernel* kernel) {
  delete kernel;
}

fm_status fm_kernel_get_info(const fm_kernel* kernel, fm_kernel_info* info) {
  return guarded([&] {
    const flashmask::Kernel& loaded = *needed(kernel, "kernel").kernel;
    const flashmask::KernelResources& resources = loaded.resources();
    fm_kernel_info filled{};
    copy_text(filled.digest, loaded.digest());
    filled.origin = static_cast<fm_origin>(loaded.origin());
    filled.tile_q = loaded.config().tile_q;
    filled.tile_k = loaded.config().tile_k;
    filled.warps = loaded.config().warps;
    filled.stages = loaded.config().stages;
    filled.registers = resources.registers;
    filled.spill_bytes = resources.spill_store_bytes + resources.spill_load_bytes;
    filled.shared_bytes = resources.static_shared_bytes + resources.dynamic_shared_bytes;
    give(info, filled, "fm_kernel_info");
  });
}

fm_status fm_kernel_workspace_size(const fm_kernel* kernel, const fm_forward_args* args, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    into = used.workspace_size(launch_of(args, used.descriptor()));
  });
}

fm_status fm_kernel_launch_forward(const fm_kernel* kernel, const fm_forward_args* args, uint64_t workspace,
                                   void* stream) {
  return guarded([&] {
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    const flashmask::ForwardLaunch launch = launch_of(args, used.descriptor());
    // The caller has asked for the size, and says nothing of it here.
    used.launch(launch, stream, {.data = workspace, .bytes = used.workspace_size(launch)});
  });
}

fm_status fm_kernel_backward_workspace_size(const fm_kernel* kernel, const fm_backward_args* args, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    into = used.workspace_size(launch_of(args, used.descriptor()));
  });
}

fm_status fm_kernel_launch_backward(const fm_kernel* kernel, const fm_backward_args* args, uint64_t workspace,
                                    size_t workspace_bytes, void* stream) {
  return guarded([&] {
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    used.launch(launch_of(args, used.descriptor()), stream, {.data = workspace, .bytes = workspace_bytes});
  });
}

fm_status fm_kernel_prepare_forward(const fm_kernel* kernel, const fm_forward_args* args, uint64_t workspace,
                                    size_t workspace_bytes, fm_prepared** prepared) {
  return guarded([&] { prepare(kernel, args, {.data = workspace, .bytes = workspace_bytes}, prepared); });
}

fm_status fm_kernel_prepare_backward(const fm_kernel* kernel, const fm_backward_args* args, uint64_t workspace,
                                     size_t workspace_bytes, fm_prepared** prepared) {
  return guarded([&] { prepare(kernel, args, {.data = workspace, .bytes = workspace_bytes}, prepared); });
}

fm_status fm_prepared_launch(const fm_prepared* prepared, void* stream) {
  return guarded([&] { needed(prepared, "prepared").launch->launch(stream); });
}

void fm_prepared_release(fm_prepared* prepared) {
  delete prepared;
}

void fm_init_mask_shape(fm_mask_shape* mask) {
  if (mask) *mask = default_mask_shape();
}

fm_status fm_plan_size(const fm_mask_shape* mask, int tile_q, int tile_k, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    into = flashmask::MaskPlan::size(mask_of(mask), {tile_q, tile_k});
  });
}

fm_status fm_plan_build(fm_runtime* runtime, const fm_mask_shape* mask, int tile_q, int tile_k,
                        uint64_t startend_row_indices, uint64_t plan, size_t bytes, void* stream) {
  return guarded([&] {
    const flashmask::MaskPlan builder(*needed(runtime, "runtime").runtime, mask_of(mask), startend_row_indices);
    builder.build({tile_q, tile_k}, plan, bytes, stream);
  });
}

fm_status fm_plan_analyse(fm_runtime* runtime, const fm_mask_shape* mask, int tile_q, int tile_k, uint64_t plan,
                          size_t bytes, void* stream, fm_plan_summary* summary) {
  return guarded([&] {
    const auto& device = needed(runtime, "runtime").runtime->device();
    if (!device) refuse("this runtime has no device");
    const flashmask::PlanCounts counts =
        flashmask::count_tiles(*device, {plan, bytes, mask_of(mask), {tile_q, tile_k}}, stream);
    give(summary,
         fm_plan_summary{.struct_size = sizeof(fm_plan_summary),
                         .full_tiles = counts.full,
                         .partial_tiles = counts.partial,
                         .empty_tiles = counts.empty},
         "fm_plan_summary");
  });
}

fm_status fm_mask_bytes(const fm_mask_shape* mask, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    const flashmask::MaskShape shape = mask_of(mask);
    into = flashmask::device_masks::bytes_needed(shape.form, written_extents_of(shape));
  });
}

fm_status fm_mask_documents(fm_runtime* runtime, const fm_mask_shape* mask, uint64_t cumulative_lengths, int documents,
                            uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    write_documents(*needed(runtime, "runtime").runtime, mask_of(mask),
                    flashmask::device_masks::CumulativeLengths{cumulative_lengths, documents},
                    {startend_row_indices, bytes}, stream);
  });
}

fm_status fm_mask_documents_by_ids(fm_runtime* runtime, const fm_mask_shape* mask, uint64_t document_ids,
                                   uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    write_documents(*needed(runtime, "runtime").runtime, mask_of(mask),
                    flashmask::device_masks::DocumentIds{document_ids}, {startend_row_indices, bytes}, stream);
  });
}

fm_status fm_mask_sliding_window(fm_runtime* runtime, const fm_mask_shape* mask, int window,
                                 uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    const flashmask::MaskShape shape = mask_of(mask);
    check_form(shape, flashmask::MaskForm::kC1);
    flashmask::device_masks::sliding_window(*needed(runtime, "runtime").runtime, written_extents_of(shape), window,
                                            {startend_row_indices, bytes}, stream);
  });
}

fm_status fm_mask_window_as_intervals(fm_runtime* runtime, const fm_mask_shape* mask, int left, int right,
                                      int causal_alignment, uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    const flashmask::MaskShape shape = mask_of(mask);
    check_form(shape, flashmask::MaskForm::kF2);
    flashmask::device_masks::window_as_intervals(
        *needed(runtime, "runtime").runtime, written_extents_of(shape), left, right,
        enumerator<flashmask::CausalAlignment>(causal_alignment, FM_TOP_LEFT, "causal_alignment"),
        {startend_row_indices, bytes}, stream);
  });
}

}  // extern "C"
