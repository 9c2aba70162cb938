#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashmask/device.h"
#include "flashmask/error.h"
#include "flashmask/reference.h"
#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/interrupt.h"
#include "tools/command/output_path.h"
#include "tools/command/problem.h"
#include "tools/command/progress.h"
#include "tools/command/run_report.h"
#include "tools/command/tile_choice.h"
#include "tools/safetensors/writer.h"

namespace flashmask::command {
namespace {

constexpr Target kEmulatedTarget{80, false};

struct Result {
  std::vector<std::uint16_t> output;  ///< [B,Sq,Hq,Dv]
  std::vector<float> lse;             ///< [B,Hq,Sq]
};

std::shared_ptr<Device> open_emulator(const RunArguments& arguments) {
  EmulatorOptions options;
  options.target = arguments.target.value_or(kEmulatedTarget);
  options.seed = arguments.seed.value_or(0);
  if (arguments.schedule) options.schedule = *arguments.schedule;
  options.races = !arguments.no_races;
  return open_emulated_device(options);
}

std::shared_ptr<Device> open_device(const RunArguments& arguments, Progress& progress) {
  if (arguments.device == DeviceChoice::kEmulator) return open_emulator(arguments);
  std::shared_ptr<Device> device;
  try {
    device = open_cuda_device();
  } catch (const Error& error) {
    if (arguments.device == DeviceChoice::kCuda) throw;
    device = open_emulator(arguments);
    progress.print(fmt::format("flashmask: running on the emulator ({}): {}", to_string(device->properties().target),
                               error.what()));
    return device;
  }
  if (arguments.device == DeviceChoice::kAuto) {
    progress.print(fmt::format("flashmask: running on {}", device->properties().name));
  }
  for (const auto& [given, option] : {std::pair{arguments.seed.has_value(), "--seed"},
                                      {arguments.schedule.has_value(), "--schedule"},
                                      {arguments.no_races, "--no-races"}}) {
    if (given) progress.print(fmt::format("flashmask: warning: {} has a meaning on the emulator only", option));
  }
  return device;
}

template <typename Element>
DeviceBuffer upload(const std::shared_ptr<Device>& device, std::span<const Element> elements) {
  DeviceBuffer buffer(device, elements.size_bytes());
  device->copy_to_device(buffer.get(), std::as_bytes(elements), nullptr);
  return buffer;
}

double seconds_of_launch(Device& device, const Kernel& kernel, const ForwardLaunch& launch, Workspace workspace) {
  const auto start = std::chrono::steady_clock::now();
  kernel.launch(launch, nullptr, workspace);
  device.synchronize(nullptr);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Fills the report's launch figures on its way.
Result launch(Runtime& runtime, const Kernel& kernel, const Problem& problem, RunReport& report) {
  const std::shared_ptr<Device>& device = runtime.device();
  const reference::ForwardProblem& shape = problem.shape;
  const auto rows = static_cast<std::size_t>(shape.batch) * shape.seqlen_q * shape.num_heads_q;
  Result result{std::vector<std::uint16_t>(rows * shape.head_dim_v), std::vector<float>(rows)};

  const DeviceBuffer query = upload<std::uint16_t>(device, problem.query);
  const DeviceBuffer key = upload<std::uint16_t>(device, problem.key);
  const DeviceBuffer value = upload<std::uint16_t>(device, problem.value);
  DeviceBuffer vectors;
  if (!problem.startend_row_indices.empty()) vectors = upload<std::int32_t>(device, problem.startend_row_indices);
  const DeviceBuffer output(device, std::span(result.output).size_bytes());
  const DeviceBuffer lse(device, std::span(result.lse).size_bytes());

  ForwardLaunch arguments;
  arguments.batch = shape.batch;
  arguments.seqlen_q = shape.seqlen_q;
  arguments.seqlen_k = shape.seqlen_k;
  arguments.num_heads_q = shape.num_heads_q;
  arguments.num_heads_kv = shape.num_heads_kv;
  arguments.num_heads_mask = shape.num_heads_mask;
  arguments.query = TensorView::contiguous(query.get(), shape.seqlen_q, shape.num_heads_q, shape.head_dim_qk);
  arguments.key = TensorView::contiguous(key.get(), shape.seqlen_k, shape.num_heads_kv, shape.head_dim_qk);
  arguments.value = TensorView::contiguous(value.get(), shape.seqlen_k, shape.num_heads_kv, shape.head_dim_v);
  arguments.output = TensorView::contiguous(output.get(), shape.seqlen_q, shape.num_heads_q, shape.head_dim_v);
  arguments.lse = lse.get();
  arguments.startend_row_indices = vectors.get();
  arguments.softmax_scale = shape.softmax_scale;
  arguments.window_left = shape.window_left;
  arguments.window_right = shape.window_right;

  std::optional<MaskPlan> plan;
  if (!problem.startend_row_indices.empty() && report.skips) {
    plan.emplace(runtime,
                 MaskShape{.form = report.descriptor.mask_form,
                           .causal_alignment = report.descriptor.causal_alignment,
                           .batch = shape.batch,
                           .num_heads = shape.num_heads_mask,
                           .seqlen_q = shape.seqlen_q,
                           .seqlen_k = shape.seqlen_k},
                 vectors.get());
    arguments.plan = plan->prepare(kernel.tile());
    report.plan = plan->analyse(kernel.tile());
  }

  DeviceBuffer workspace;
  if (const std::size_t bytes = kernel.workspace_size(arguments); bytes > 0) workspace = DeviceBuffer(device, bytes);
  // A GPU's first launch pays for clocks and caches, so the second is timed; an emulation is the same every time.
  if (report.device.kind == DeviceKind::kCuda) seconds_of_launch(*device, kernel, arguments, {workspace.get(), workspace.bytes()});
  static_cast<void>(device->take_statistics());
  report.launch_seconds = seconds_of_launch(*device, kernel, arguments, {workspace.get(), workspace.bytes()});
  if (report.device.kind == DeviceKind::kEmulator) report.statistics = device->take_statistics();

  device->copy_to_host(std::as_writable_bytes(std::span(result.output)), output.get(), nullptr);
  device->copy_to_host(std::as_writable_bytes(std::span(result.lse)), lse.get(), nullptr);
  return result;
}

void save(const std::filesystem::path& path, const reference::ForwardProblem& shape, const Result& result) {
  using safetensors::ElementType;
  const auto extent = [](int value) { return static_cast<std::uint64_t>(value); };
  safetensors::Writer writer;
  writer.add("out", shape.dtype == DataType::kFloat16 ? ElementType::kF16 : ElementType::kBF16,
             {extent(shape.batch), extent(shape.seqlen_q), extent(shape.num_heads_q), extent(shape.head_dim_v)},
             std::as_bytes(std::span(result.output)));
  writer.add("lse", ElementType::kF32, {extent(shape.batch), extent(shape.num_heads_q), extent(shape.seqlen_q)},
             std::as_bytes(std::span(result.lse)));
  const UninterruptedSection publishing;
  writer.save(path);
}

RequestOptions request_options(const Problem& problem, const KernelDescriptor& descriptor,
                               const RunArguments& arguments) {
  RequestOptions options;
  options.hint.seqlen_q = problem.shape.seqlen_q;
  options.hint.seqlen_k = problem.shape.seqlen_k;
  const std::int64_t heads = std::int64_t{problem.shape.batch} * problem.shape.num_heads_q;
  options.hint.heads = static_cast<int>(std::min<std::int64_t>(heads, std::numeric_limits<int>::max()));
  options.config = choose_tile(descriptor, arguments.tile);
  return options;
}

/// All of the work; its progress has gone from the terminal when it returns.
RunReport perform(const RunArguments& arguments) {
  Policy policy = Policy::from_environment();
  Progress progress(arguments.verify ? 5 : 4);
  policy.log = [&progress](LogLevel level, const std::string& message) { progress.log(level, message); };

  progress.phase("reading");
  require_writable(arguments.output);
  const Problem problem = load_problem(arguments);
  // What no target serves is said before a device is opened.
  require_supported(problem.descriptor(arguments.target.value_or(kEmulatedTarget)));

  progress.phase("requesting a kernel");
  const std::shared_ptr<Device> device = open_device(arguments, progress);
  RunReport report;
  report.device = device->properties();
  report.descriptor = problem.descriptor(arguments.target.value_or(report.device.target));
  require_supported(report.descriptor);
  Runtime runtime(device, policy);
  std::shared_ptr<const Kernel> kernel;
  {
    const UninterruptedSection publishing;  // into the cache
    kernel = runtime.request(report.descriptor, request_options(problem, report.descriptor, arguments));
  }
  report.config = kernel->config();
  report.resources = kernel->resources();
  report.origin = kernel->origin();
  report.digest = kernel->digest();
  report.problem = problem.shape;
  report.problem.query = report.problem.key = report.problem.value = {};  // their memory ends with this function
  report.problem.startend_row_indices = {};
  report.output = arguments.output.string();
  report.skips = !arguments.no_skip;

  progress.phase(report.device.kind == DeviceKind::kEmulator ? "running on the emulator" : "running on the GPU");
  const Result result = launch(runtime, *kernel, problem, report);
  report.counters = runtime.counters();
  if (arguments.verify) {
    progress.phase("comparing with fp64");
    report.verification = reference::compare(problem.shape, result.output, result.lse);
  }
  progress.phase("writing");
  save(arguments.output, problem.shape, result);

  return report;
}

}  // namespace

ExitCode run(const RunArguments& arguments) {
  const RunReport report = perform(arguments);
  print_result(arguments.json ? to_json(report) : to_text(report));
  if (report.verification && !report.verification->passed) {
    throw Error(ErrorCode::kInternal, "the result is not within the bound of --verify; it was written nevertheless",
                "run again with --device emulator --seed 1 to tell a bug of the kernel from one of the device");
  }
  return kExitOk;
}

}  // namespace flashmask::command
