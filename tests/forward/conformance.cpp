// Proves ptxas, which the emulator cannot: every kernel on the device against what the emulator makes of the same PTX,
// at ptxas -O1 and -O3, each in a child process with a time limit. One that hangs is run once more with waits that give
// up, to name those that nobody ends. The first program to run on a new GPU.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

#include "generator/kernel_family.h"
#include "tests/backward/launch.h"
#include "tests/forward/bounded_waits.h"
#include "tests/forward/child_process.h"
#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/ptxas_level.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

using nlohmann::json;

/// Every kernel of the test matrix that a device with this target runs: where an arch-specific target has a family of
/// its own, the portable one too.
std::vector<KernelDescriptor> conformance_kernels(const Target& target) {
  std::vector<KernelDescriptor> kernels;
  const auto add = [&](KernelDescriptor descriptor) {
    kernels.push_back(descriptor);
    descriptor.target.arch_specific = false;
    if (generator::family_of(descriptor).name != generator::family_of(kernels.back()).name)
      kernels.push_back(descriptor);
  };
  bool deterministic = false;
  for (DataType dtype : {DataType::kBfloat16, DataType::kFloat16}) {
    for (const auto& [head_dim_qk, head_dim_v] : {std::pair(64, 64),
                                                  {128, 128},
                                                  {32, 32},
                                                  {72, 72},
                                                  {80, 80},
                                                  {96, 96},
                                                  {192, 192},
                                                  {192, 128},
                                                  {64, 128},
                                                  {256, 256}}) {
      for (const KernelDescriptor& descriptor : all_forms(dtype, head_dim_qk, head_dim_v, target)) add(descriptor);
      // The alignment of a diagonal is an argument of a backward; every other kernel is deterministic.
      for (KernelDescriptor descriptor : backward_tests::all_forms(dtype, head_dim_qk, head_dim_v, target, false)) {
        if (descriptor.causal_alignment != CausalAlignment::kBottomRight) continue;
        descriptor.deterministic = std::exchange(deterministic, !deterministic);
        add(descriptor);
      }
    }
  }
  return kernels;
}

std::shared_ptr<Device> open_device(const std::string& name, const Target& target, std::uint64_t seed) {
  return name == "cuda" ? open_cuda_device() : open_emulated_device({.target = target, .seed = seed});
}

/// The largest difference of two results, and the share of elements that are equal to the bit.
struct Difference {
  double largest = 0;
  double equal = 0;
};

/// `element` reads the n-th of `count` of one side or the other; a distance may be relative to the golden one.
template <typename Element>
Difference difference(std::size_t count, const Element& actual, const Element& golden, bool relative) {
  Difference result;
  std::size_t equal = 0;
  for (std::size_t n = 0; n < count; ++n) {
    const double a = actual(n), b = golden(n);
    equal += a == b;
    // Equal infinities are no distance; a NaN, or an infinity on one side, is an infinite one.
    const double distance = a == b ? 0 : std::fabs(a - b) / (relative ? std::max(1.0, std::fabs(b)) : 1.0);
    result.largest = std::isfinite(distance) ? std::max(result.largest, distance) : HUGE_VAL;
  }
  result.equal = count == 0 ? 1 : static_cast<double>(equal) / static_cast<double>(count);
  return result;
}

Difference difference(const std::vector<std::uint16_t>& actual, const std::vector<std::uint16_t>& golden,
                      DataType dtype) {
  const auto reader = [dtype](const std::vector<std::uint16_t>& bits) {
    return std::function<double(std::size_t)>(
        [&bits, dtype](std::size_t n) { return reference::to_float(bits[n], dtype); });
  };
  return difference(actual.size(), reader(actual), reader(golden), false);
}

Difference difference(const std::vector<float>& actual, const std::vector<float>& golden) {
  const auto reader = [](const std::vector<float>& values) {
    return std::function<double(std::size_t)>([&values](std::size_t n) { return values[n]; });
  };
  return difference(actual.size(), reader(actual), reader(golden), true);
}

/// A problem that crosses a tile edge in both directions, with head groups and fuzzed intervals.
TestProblem conformance_problem(const KernelDescriptor& descriptor, const TileConfig& config) {
  const bool has_vectors = vectors_per_column(descriptor.mask_form) > 0;
  Variety variety{.intervals = Intervals::kFuzzed, .seed = 11};
  if (descriptor.mask_form == MaskForm::kWindow) {
    variety.window_left = 50;
    variety.window_right = 20;
  }
  return TestProblem(descriptor,
                     {.batch = 1,
                      .seqlen_q = config.tile_q + 9,
                      .seqlen_k = 2 * config.tile_k + 5,
                      .heads_q = 2,
                      .heads_kv = 1,
                      .heads_mask = has_vectors ? 2 : 1},
                     variety);
}

/// A kernel on the device under test and its emulation.
struct Contestants {
  Runtime& runtime;
  const Kernel& kernel;
  Runtime& emulated;
  const Kernel& golden;
};

json run_forward_kernel(const Contestants& on, const TestProblem& problem) {
  const LaunchResult actual = run_forward(on.runtime, on.kernel, problem);
  const LaunchResult golden = run_forward(on.emulated, on.golden, problem);
  const reference::Comparison against_fp64 = reference::compare(problem.view(), actual.output, actual.lse, 1);
  const Difference output = difference(actual.output, golden.output, problem.descriptor().dtype);
  const Difference lse = difference(actual.lse, golden.lse);
  const bool ok = against_fp64.passed && actual.overwritten.empty() && output.largest <= against_fp64.output_bound &&
                  lse.largest <= against_fp64.lse_bound;
  return {{"status", ok ? "ok" : "wrong"},
          {"fp64_error", against_fp64.max_output_error},
          {"bound", against_fp64.output_bound},
          {"lse_error", against_fp64.max_lse_error},
          {"golden_error", output.largest},
          {"golden_lse_error", lse.largest},
          {"bit_equal", output.equal},
          {"nan_count", against_fp64.nan_count},
          {"dead_rows_wrong", against_fp64.dead_rows_wrong},
          {"overwritten", actual.overwritten}};
}

/// Of the three gradients, the one that is nearest to its bound, or beyond it.
json run_backward_kernel(const Contestants& on, const backward_tests::BackwardTestProblem& problem) {
  const backward_tests::LaunchResult actual = run_backward(on.runtime, on.kernel, problem);
  const backward_tests::LaunchResult golden = run_backward(on.emulated, on.golden, problem);
  const reference::GradientComparison against_fp64 =
      reference::compare(problem.view({}), actual.query_gradient, actual.key_gradient, actual.value_gradient, 1);
  const DataType dtype = problem.forward().descriptor().dtype;
  struct Gradient {
    const char* name;
    const reference::GradientError& error;
    Difference golden;
  };
  const Gradient gradients[] = {
      {"dq", against_fp64.query, difference(actual.query_gradient, golden.query_gradient, dtype)},
      {"dk", against_fp64.key, difference(actual.key_gradient, golden.key_gradient, dtype)},
      {"dv", against_fp64.value, difference(actual.value_gradient, golden.value_gradient, dtype)}};
  json record;
  bool ok = against_fp64.passed && actual.overwritten.empty();
  double nearest = -1;
  for (const auto& [name, error, of_golden] : gradients) {
    ok = ok && of_golden.largest <= error.bound;
    const double share = error.bound == 0 ? (error.max_error == 0 ? 0 : HUGE_VAL) : error.max_error / error.bound;
    if (share <= nearest) continue;
    nearest = share;
    record = {{"gradient", name},
              {"fp64_error", error.max_error},
              {"bound", error.bound},
              {"golden_error", of_golden.largest},
              {"bit_equal", of_golden.equal},
              {"nan_count", error.nan_count},
              {"zero_rows_wrong", error.zero_rows_wrong}};
  }
  record["status"] = ok ? "ok" : "wrong";
  record["overwritten"] = actual.overwritten;
  return record;
}

/// Runs one kernel in this process; what is printed is the parent's record.
json run_kernel(const std::string& device_name, const KernelDescriptor& descriptor, int level, const Policy& policy) {
  const std::shared_ptr<Device> devices[] = {open_device(device_name, descriptor.target, 2),
                                             open_emulated_device({.target = descriptor.target, .seed = 1})};
  const TileConfig config = default_tile_config(descriptor);
  const auto kernels = compile_at_level(level, generator::generate(descriptor, config), devices, policy);
  TestProblem problem = conformance_problem(descriptor, config);
  Runtime runtime(devices[0], policy), emulated(devices[1], policy);  // for the plans
  const Contestants on{runtime, *kernels[0], emulated, *kernels[1]};
  json record = descriptor.pass == Pass::kBackward
                    ? run_backward_kernel(on, backward_tests::BackwardTestProblem(std::move(problem)))
                    : run_forward_kernel(on, problem);
  record["config"] = to_string(config);
  const KernelResources& resources = kernels[0]->resources();
  record["registers"] = resources.registers;
  record["spill_bytes"] = resources.spill_load_bytes + resources.spill_store_bytes;
  return record;
}

/// Runs a kernel that has hung, with waits that give up after a second or two; what the device prints names them.
json run_kernel_that_hangs(const std::string& device_name, const KernelDescriptor& descriptor, int level,
                           const Policy& policy) {
  constexpr long long kClocks = 2'000'000'000;  // a second or two
  const std::shared_ptr<Device> devices[] = {open_device(device_name, descriptor.target, 2)};
  const TileConfig config = default_tile_config(descriptor);
  generator::KernelSource source = generator::generate(descriptor, config);
  source.text = with_bounded_waits(source.text, kClocks);
  const auto kernels = compile_at_level(level, source, devices, policy);
  TestProblem problem = conformance_problem(descriptor, config);
  Runtime runtime(devices[0], policy);
  if (descriptor.pass == Pass::kBackward)
    run_backward(runtime, *kernels[0], backward_tests::BackwardTestProblem(std::move(problem)));
  else
    run_forward(runtime, *kernels[0], problem);
  return {{"status", "hang"}, {"detail", "no wait goes on for ever"}};
}

/// What a device has printed before the record, each line once, and not more of them than can be read.
std::string printed_before(const std::string& record_line, const std::string& output) {
  constexpr std::size_t kLines = 12;
  std::vector<std::string> lines;
  std::istringstream stream(output);
  for (std::string line; std::getline(stream, line) && line != record_line;)
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
  const std::size_t left_out = lines.size() - std::min(lines.size(), kLines);
  lines.resize(lines.size() - left_out);
  if (left_out > 0) lines.push_back(fmt::format("and {} more", left_out));
  return fmt::format("{}", fmt::join(lines, "; "));
}

/// The record of a child that ended in any way.
json record_of(const ChildResult& child) {
  switch (child.end) {
    case ChildResult::End::kTimedOut:
      return {{"status", "hang"}, {"detail", fmt::format("ended after {:.0f} s", child.seconds)}};
    case ChildResult::End::kKilledBySignal:
      return {{"status", "crash"}, {"detail", fmt::format("signal {}", child.code)}};
    case ChildResult::End::kExited:
      break;
  }
  // The last line; what a device has printed comes before it.
  std::string line = child.output.substr(0, child.output.find_last_not_of('\n') + 1);
  line.erase(0, line.rfind('\n') + 1);
  json record = json::parse(line, nullptr, false);
  if (record.is_object()) {
    if (const std::string printed = printed_before(line, child.output); !printed.empty()) record["detail"] = printed;
    return record;
  }
  return {{"status", "crash"}, {"detail", fmt::format("exit status {} without a record", child.code)}};
}

void print_row(const std::string& name, const json& record) {
  std::string line = fmt::format("{:<6} {:<66}", record.value("status", "?"), name);
  if (record.contains("bound")) {
    line += fmt::format(" {:<31} regs {:3} spill {:4}  fp64 {:.2e} golden {:.2e} of {:.2e}  bits equal {:5.1f} %",
                        record.value("config", ""), record.value("registers", 0), record.value("spill_bytes", 0),
                        record["fp64_error"].is_number() ? record["fp64_error"].get<double>() : HUGE_VAL,
                        record["golden_error"].is_number() ? record["golden_error"].get<double>() : HUGE_VAL,
                        record.value("bound", 0.0), 100 * record.value("bit_equal", 0.0));
  }
  fmt::print("{} {}\n", line, record.value("detail", ""));
  std::fflush(stdout);
}

struct Options {
  std::string device = "cuda";
  std::string target;
  std::string filter;
  std::string json_path;
  std::vector<int> levels = {1, 3};
  int limit_seconds = 60;
  int jobs = 4;
  int index = -1;        ///< the child's kernel
  std::string cache;     ///< the parent's, for the child
  bool bounded = false;  ///< the child's kernel has hung
};

int run_child(const Options& options, const Target& target) {
  const KernelDescriptor descriptor = conformance_kernels(target).at(static_cast<std::size_t>(options.index));
  Policy policy = Policy::from_environment();
  policy.cache_directory = options.cache;
  json record;
  try {
    record = options.bounded ? run_kernel_that_hangs(options.device, descriptor, options.levels.at(0), policy)
                             : run_kernel(options.device, descriptor, options.levels.at(0), policy);
  } catch (const std::exception& error) {
    record = {{"status", "error"}, {"detail", error.what()}};
  }
  fmt::print("{}\n", record.dump());
  return 0;
}

int run_all(const Options& options, const DeviceProperties& device) {
  struct Job {
    std::string name;
    std::vector<std::string> arguments;
    bool bounded = false;
  };
  const std::string cache = tested_policy().cache_directory;
  std::deque<Job> waiting;
  const std::vector<KernelDescriptor> kernels = conformance_kernels(device.target);
  for (std::size_t index = 0; index < kernels.size(); ++index) {
    if (to_string(kernels[index]).find(options.filter) == std::string::npos) continue;
    for (int level : options.levels) {
      waiting.push_back({fmt::format("{} -O{}", to_string(kernels[index]), level),
                         {"--device", options.device, "--target", to_string(device.target), "--index",
                          std::to_string(index), "--levels", std::to_string(level), "--cache", cache}});
    }
  }
  const std::size_t all = waiting.size();
  fmt::print("{} ({}), driver {}: {} kernels\n", device.name, to_string(device.target),
             device.driver.empty() ? "none" : device.driver, all);

  json records = json::array();
  std::size_t passed = 0;
  std::vector<std::pair<Job, std::unique_ptr<Child>>> running;
  while (!waiting.empty() || !running.empty()) {
    while (!waiting.empty() && running.size() < static_cast<std::size_t>(options.jobs)) {
      running.emplace_back(waiting.front(), std::make_unique<Child>(waiting.front().arguments));
      waiting.pop_front();
    }
    std::erase_if(running, [&](auto& running_job) {
      auto& [job, child] = running_job;
      if (!child->ended(std::chrono::seconds(options.limit_seconds))) return false;
      json record = record_of(child->result());
      if (record.value("status", "") == "hang" && !job.bounded && options.device == "cuda") {
        job.bounded = true;
        job.arguments.push_back("--bounded");
        waiting.push_front(job);
        return true;
      }
      record["name"] = job.name;
      record["seconds"] = child->result().seconds;
      passed += record.value("status", "") == "ok";
      print_row(job.name, record);
      records.push_back(std::move(record));
      return true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  fmt::print("{} of {} kernels conform\n", passed, all);
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << json{{"schema", 1},
                 {"library", version()},
                 {"device", device.name},
                 {"target", to_string(device.target)},
                 {"driver", device.driver},
                 {"passed", passed},
                 {"kernels", records}}
                .dump(1)
         << "\n";
    if (!file.flush()) {
      fmt::print(stderr, "{} could not be written\n", options.json_path);
      return 1;
    }
  }
  return passed == all && all > 0 ? 0 : 1;
}

int conformance_main(int argc, char** argv) {
  Options options;
  CLI::App app("Compares every kernel on a device with its emulation, at several optimisation levels of ptxas.");
  app.add_option("--device", options.device, "cuda or emulator")->check(CLI::IsMember({"cuda", "emulator"}));
  app.add_option("--target", options.target, "of the kernels; default: the device's own");
  app.add_option("--filter", options.filter, "only kernels whose name contains this, e.g. \"bf16 d128 c1\"");
  app.add_option("--levels", options.levels, "of ptxas")->delimiter(',')->check(CLI::Range(0, 3));
  app.add_option("--limit", options.limit_seconds, "seconds for one kernel")->check(CLI::PositiveNumber);
  app.add_option("--jobs", options.jobs, "kernels at a time")->check(CLI::PositiveNumber);
  app.add_option("--json", options.json_path, "file for the records");
  app.add_option("--index", options.index)->group("");    // of a child's kernel
  app.add_flag("--bounded", options.bounded)->group("");  // of a child: its kernel has hung
  app.add_option("--cache", options.cache)->group("");    // that a child uses, for the kernels of plans
  CLI11_PARSE(app, argc, argv);

  Target target;
  if (!options.target.empty()) {
    const auto parsed = parse_target(options.target);
    if (!parsed) {
      fmt::print(stderr, "--target {}: known are {}\n", options.target, known_targets());
      return 2;
    }
    target = *parsed;
  }
  if (options.index >= 0) return run_child(options, target);
  DeviceProperties device = open_device(options.device, target, 0)->properties();
  if (!options.target.empty()) device.target = target;
  return run_all(options, device);
}

}  // namespace
}  // namespace flashmask::forward_tests

int main(int argc, char** argv) {
  try {
    return flashmask::forward_tests::conformance_main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "conformance: {}\n", error.what());
    return 1;
  }
}
