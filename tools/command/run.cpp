#include <fmt/format.h>

#include <algorithm>
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
#include "tools/command/run_launches.h"
#include "tools/command/run_report.h"
#include "tools/command/tile_choice.h"
#include "tools/safetensors/writer.h"

namespace flashmask::command {
namespace {

constexpr Target kEmulatedTarget{80, false};

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

void save(const std::filesystem::path& path, const reference::ForwardProblem& shape, const RunTensors& tensors) {
  using safetensors::ElementType;
  const ElementType type = shape.dtype == DataType::kFloat16 ? ElementType::kF16 : ElementType::kBF16;
  const auto extents = [](auto... values) { return std::vector<std::uint64_t>{static_cast<std::uint64_t>(values)...}; };
  safetensors::Writer writer;
  writer.add("out", type, extents(shape.batch, shape.seqlen_q, shape.num_heads_q, shape.head_dim_v),
             std::as_bytes(std::span(tensors.output)));
  writer.add("lse", ElementType::kF32, extents(shape.batch, shape.num_heads_q, shape.seqlen_q),
             std::as_bytes(std::span(tensors.lse)));
  if (!tensors.query_gradient.empty()) {
    writer.add("dq", type, extents(shape.batch, shape.seqlen_q, shape.num_heads_q, shape.head_dim_qk),
               std::as_bytes(std::span(tensors.query_gradient)));
    writer.add("dk", type, extents(shape.batch, shape.seqlen_k, shape.num_heads_kv, shape.head_dim_qk),
               std::as_bytes(std::span(tensors.key_gradient)));
    writer.add("dv", type, extents(shape.batch, shape.seqlen_k, shape.num_heads_kv, shape.head_dim_v),
               std::as_bytes(std::span(tensors.value_gradient)));
  }
  const UninterruptedSection publishing;
  writer.save(path);
}

/// Requests a kernel of the run and tells of it.
std::shared_ptr<const Kernel> request(Runtime& runtime, const Problem& problem, const KernelDescriptor& descriptor,
                                      const std::optional<TileWish>& tile, KernelReport& report) {
  RequestOptions options;
  options.hint.seqlen_q = problem.shape.seqlen_q;
  options.hint.seqlen_k = problem.shape.seqlen_k;
  const std::int64_t heads = std::int64_t{problem.shape.batch} * problem.shape.num_heads_q;
  options.hint.heads = static_cast<int>(std::min<std::int64_t>(heads, std::numeric_limits<int>::max()));
  options.config = choose_tile(descriptor, tile);

  const RuntimeCounters before = runtime.counters();
  std::shared_ptr<const Kernel> kernel;
  {
    const UninterruptedSection publishing;  // into the cache
    kernel = runtime.request(descriptor, options);
  }
  const RuntimeCounters after = runtime.counters();
  report.descriptor = descriptor;
  report.config = kernel->config();
  report.resources = kernel->resources();
  report.origin = kernel->origin();
  report.digest = kernel->digest();
  report.compile_seconds = after.compile_seconds - before.compile_seconds;
  report.lookup_seconds = after.lookup_seconds - before.lookup_seconds;
  report.is_stored = after.stores > before.stores;
  return kernel;
}

/// The descriptors of the run's kernels, in the order of their launches.
std::vector<KernelDescriptor> descriptors(const Problem& problem, Target target, const RunArguments& arguments) {
  std::vector<KernelDescriptor> result = {problem.descriptor(target)};
  if (arguments.backward) {
    result.push_back(problem.descriptor(target, Pass::kBackward));
    result.back().deterministic = arguments.deterministic;
  }
  for (const KernelDescriptor& descriptor : result) require_supported(descriptor);
  return result;
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
  static_cast<void>(descriptors(problem, arguments.target.value_or(kEmulatedTarget), arguments));

  progress.phase(arguments.backward ? "requesting the kernels" : "requesting a kernel");
  const std::shared_ptr<Device> device = open_device(arguments, progress);
  RunReport report;
  report.device = device->properties();
  const std::vector<KernelDescriptor> wanted =
      descriptors(problem, arguments.target.value_or(report.device.target), arguments);
  Runtime runtime(device, policy);
  RunKernels kernels;
  kernels.forward =
      request(runtime, problem, wanted.front(), arguments.backward ? std::nullopt : arguments.tile, report.forward);
  if (arguments.backward)
    kernels.backward = request(runtime, problem, wanted.back(), arguments.tile, report.backward.emplace());
  report.problem = problem.shape;
  report.problem.query = report.problem.key = report.problem.value = {};  // their memory ends with this function
  report.problem.startend_row_indices = {};
  report.output = arguments.output.string();
  report.skips = !arguments.no_skip;

  progress.phase(report.device.kind == DeviceKind::kEmulator ? "running on the emulator" : "running on the GPU");
  const RunTensors tensors = launch(runtime, kernels, problem, report);
  report.counters = runtime.counters();
  if (arguments.verify) {
    progress.phase("comparing with fp64");
    report.verification = reference::compare(problem.shape, tensors.output, tensors.lse);
    if (arguments.backward)
      report.gradient_verification =
          reference::compare(problem.backward(), tensors.query_gradient, tensors.key_gradient, tensors.value_gradient);
  }
  progress.phase("writing");
  save(arguments.output, problem.shape, tensors);

  return report;
}

}  // namespace

ExitCode run(const RunArguments& arguments) {
  const RunReport report = perform(arguments);
  print_result(arguments.json ? to_json(report) : to_text(report));
  if ((report.verification && !report.verification->passed) ||
      (report.gradient_verification && !report.gradient_verification->passed)) {
    throw Error(ErrorCode::kInternal, "the result is not within the bound of --verify; it was written nevertheless",
                "run again with --device emulator --seed 1 to tell a bug of the kernel from one of the device");
  }
  return kExitOk;
}

}  // namespace flashmask::command
