#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emulator/machine/machine.h"
#include "flashmask/error.h"
#include "tools/command/commands.h"
#include "tools/command/emulate_json.h"
#include "tools/command/emulate_memory.h"
#include "tools/command/emulate_parameters.h"
#include "tools/command/emulate_report.h"
#include "tools/command/emulate_spec.h"
#include "tools/command/emulate_trace.h"
#include "tools/command/file_bytes.h"
#include "tools/command/interrupt.h"
#include "tools/command/output_path.h"
#include "tools/command/progress.h"
#include "tools/safetensors/layout.h"
#include "tools/safetensors/writer.h"

namespace flashmask::command {
namespace {

using emulator::EntryDeclaration;
using emulator::Fault;
using emulator::Machine;
using emulator::MachineOptions;
using emulator::Program;

constexpr std::size_t kMostSpecBytes = std::size_t{16} << 20;
constexpr std::size_t kMostPtxBytes = std::size_t{256} << 20;

/// A Fault and how to see it again.
class FaultOfRun : public Fault {
 public:
  FaultOfRun(Fault::Kind kind, const std::string& report, std::string hint)
      : Fault(kind, report), hint_(std::move(hint)) {}
  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

LaunchSpec read_spec(const std::string& launch) {
  if (launch == "-") return parse_launch_spec(read_all(std::cin, "standard input", kMostSpecBytes), {});
  return parse_launch_spec(read_file(launch, "launch spec", kMostSpecBytes),
                           std::filesystem::path(launch).parent_path());
}

EntryDeclaration choose_entry(const Program& program, const std::optional<std::string>& asked) {
  const std::vector<EntryDeclaration> entries = program.entries();
  std::vector<std::string> names;
  for (const EntryDeclaration& each : entries) names.push_back(each.name);
  std::string known;
  for (const std::string& each : names) known += (known.empty() ? "" : ", ") + each;
  if (entries.empty()) throw Error(ErrorCode::kInvalidArgument, "the PTX has no entry");
  if (!asked) {
    if (entries.size() == 1) return entries.front();
    throw Error(ErrorCode::kInvalidArgument, "the PTX has several entries: " + known, "choose one with --entry");
  }
  const auto found = std::find(names.begin(), names.end(), *asked);
  if (found == names.end()) {
    const auto near = nearest_name(*asked, names);
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("entry {}: the PTX has {}", safetensors::printable(*asked), known),
                near ? fmt::format("{} may be meant", *near) : "");
  }
  return entries[static_cast<std::size_t>(found - names.begin())];
}

/// A traced warp that the launch does not have would print nothing, and not say why.
void require_traced_warp(const TraceChoice& trace, const emulator::LaunchShape& shape) {
  const std::uint64_t threads = std::uint64_t{shape.block[0]} * shape.block[1] * shape.block[2];
  const bool in_grid = std::equal(trace.cta.begin(), trace.cta.end(), shape.grid, std::less<>());
  if (in_grid && std::uint64_t{trace.warp} * 32 < threads) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--trace cta={},{},{},warp={}: the grid is {}x{}x{} CTAs of {} warps", trace.cta[0], trace.cta[1],
                  trace.cta[2], trace.warp, shape.grid[0], shape.grid[1], shape.grid[2], (threads + 31) / 32));
}

/// What every run starts from.
struct Job {
  const EmulateArguments& arguments;
  LaunchSpec spec;
  std::shared_ptr<const Program> program;
  EntryDeclaration entry;
  std::vector<HostTensor> tensors;
  std::vector<std::size_t> outputs;  ///< of `tensors`
};

Job prepare(const EmulateArguments& arguments) {
  if (!arguments.output.empty()) require_writable(arguments.output);
  Job job{arguments, read_spec(arguments.launch), nullptr, {}, {}, {}};
  if (arguments.trace) require_traced_warp(*arguments.trace, job.spec.shape);
  job.program = Program::parse(read_file(arguments.kernel, "kernel", kMostPtxBytes));
  job.entry = choose_entry(*job.program, arguments.entry ? arguments.entry : job.spec.entry);
  check_parameters(job.spec.parameters, job.entry);
  job.tensors = load_memory(job.spec.memory);
  for (const std::string& name : job.spec.outputs) {
    const auto found = std::find_if(job.tensors.begin(), job.tensors.end(),
                                    [&](const HostTensor& tensor) { return tensor.name == name; });
    job.outputs.push_back(static_cast<std::size_t>(found - job.tensors.begin()));
  }
  return job;
}

/// The outputs of the first run, and where any other run left them otherwise.
class Outputs {
 public:
  explicit Outputs(const Job& job) : job_(job), differences_(job.outputs.size()) {}

  void collect(const Machine& machine, const Addresses& addresses) {
    const bool first = bytes_.empty();
    for (std::size_t i = 0; i < job_.outputs.size(); ++i) {
      const HostTensor& tensor = job_.tensors[job_.outputs[i]];
      std::vector<std::byte> bytes = download(machine, tensor, addresses.find(tensor.name)->second);
      if (first) {
        bytes_.push_back(std::move(bytes));
      } else {
        compare(i, bytes);
      }
    }
  }

  std::vector<EmulatedOutput> summary() const {
    std::vector<EmulatedOutput> result;
    for (std::size_t i = 0; i < job_.outputs.size(); ++i) {
      const HostTensor& tensor = job_.tensors[job_.outputs[i]];
      result.push_back({tensor.name, tensor.type, tensor.shape, summarise(tensor.type, bytes_[i]), differences_[i]});
    }
    return result;
  }

  void save(const std::filesystem::path& path) const {
    safetensors::Writer writer;
    for (std::size_t i = 0; i < job_.outputs.size(); ++i) {
      const HostTensor& tensor = job_.tensors[job_.outputs[i]];
      writer.add(tensor.name, tensor.type, tensor.shape, bytes_[i]);
    }
    const UninterruptedSection publishing;
    writer.save(path);
  }

 private:
  void compare(std::size_t output, const std::vector<std::byte>& bytes) {
    const auto [mine, other] = std::mismatch(bytes.begin(), bytes.end(), bytes_[output].begin());
    if (mine == bytes.end()) return;
    const auto at = static_cast<std::uint64_t>(mine - bytes.begin());
    const auto bits =
        static_cast<std::uint64_t>(safetensors::bits_per_element(job_.tensors[job_.outputs[output]].type));
    const std::uint64_t element = 8 * at / bits;
    differences_[output] = std::min(differences_[output].value_or(element), element);
  }

  const Job& job_;
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<std::optional<std::uint64_t>> differences_;
};

MachineOptions machine_options(const EmulateArguments& arguments, emulator::Schedule schedule, std::uint64_t seed,
                               Progress& progress) {
  MachineOptions options;
  options.seed = seed;
  options.schedule = schedule;
  options.races = arguments.races;
  options.pedantic = arguments.pedantic;
  if (arguments.trace) {
    options.trace =
        Tracer(*arguments.trace, arguments.trace_lines, [&progress](const std::string& line) { progress.print(line); });
  }
  return options;
}

void take_notes(Machine& machine, std::vector<std::string>& notes) {
  for (std::string& note : machine.take_notes()) {
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(std::move(note));
  }
}

void run_once(const Job& job, emulator::Schedule schedule, std::uint64_t seed, Progress& progress, Outputs& outputs,
              EmulateReport& report) {
  Machine machine(machine_options(job.arguments, schedule, seed, progress));
  const Addresses addresses = upload(machine, job.tensors);
  try {
    const std::vector<std::byte> parameters = parameter_bytes(job.spec.parameters, job.entry, addresses);
    const auto start = std::chrono::steady_clock::now();
    EmulatedRun run{schedule, seed, 0, machine.launch(*job.program, job.entry.name, job.spec.shape, parameters)};
    run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    outputs.collect(machine, addresses);
    report.runs.push_back(std::move(run));
    take_notes(machine, report.notes);
  } catch (const Fault& fault) {
    throw FaultOfRun(fault.kind(), with_names(fault.what(), job.tensors, addresses),
                     fmt::format("--schedule {} --seed {} repeats this run", name_of(schedule), seed));
  }
}

void run_all(const Job& job, Progress& progress, Outputs& outputs, EmulateReport& report,
             std::span<const emulator::Schedule> schedules) {
  for (const emulator::Schedule schedule : schedules) {
    for (std::uint64_t i = 0; i < job.arguments.repeat; ++i) {
      const std::uint64_t seed = job.arguments.seed + i;
      progress.phase(fmt::format("running, schedule {}, seed {}", name_of(schedule), seed));
      run_once(job, schedule, seed, progress, outputs, report);
    }
  }
}

void explore(const Job& job, Progress& progress, Outputs& outputs, EmulateReport& report) {
  progress.phase("exploring");
  Machine machine(machine_options(job.arguments, job.arguments.schedule, job.arguments.seed, progress));
  const Addresses addresses = upload(machine, job.tensors);
  const std::vector<std::byte> parameters = parameter_bytes(job.spec.parameters, job.entry, addresses);
  emulator::ExplorationLimits limits;
  limits.preemptions = *job.arguments.explore;
  report.preemptions = limits.preemptions;
  try {
    report.exploration = machine.explore(*job.program, job.entry.name, job.spec.shape, parameters, limits,
                                         [&](Machine& after) { outputs.collect(after, addresses); });
  } catch (const Fault& fault) {
    throw Fault(fault.kind(), with_names(fault.what(), job.tensors, addresses));
  }
  take_notes(machine, report.notes);
}

/// All of the work; its progress has gone from the terminal when it returns.
EmulateReport perform(const EmulateArguments& arguments) {
  const std::vector<emulator::Schedule> schedules =
      arguments.all_schedules
          ? std::vector<emulator::Schedule>(emulator::all_schedules().begin(), emulator::all_schedules().end())
          : std::vector<emulator::Schedule>{arguments.schedule};
  Progress progress(static_cast<int>(2 + arguments.repeat * schedules.size()));
  progress.phase("reading");
  const Job job = prepare(arguments);
  EmulateReport report;
  report.kernel = arguments.kernel.string();
  report.entry = job.entry.name;
  report.shape = job.spec.shape;
  report.statistics = arguments.statistics;
  report.output = arguments.output.string();
  Outputs outputs(job);
  if (arguments.explore) {
    explore(job, progress, outputs, report);
  } else {
    run_all(job, progress, outputs, report, schedules);
  }
  report.outputs = outputs.summary();
  progress.phase("writing");
  if (!arguments.output.empty()) outputs.save(arguments.output);
  return report;
}

/// A launch that the spec got wrong is no bug of the kernel.
ExitCode exit_code_of(Fault::Kind kind) {
  switch (kind) {
    case Fault::Kind::kUnsupported:
      return kExitUnsupported;
    case Fault::Kind::kSyntax:
    case Fault::Kind::kLaunch:
      return kExitUsage;
    default:
      return kExitFault;
  }
}

}  // namespace

ExitCode emulate(const EmulateArguments& arguments) {
  try {
    const EmulateReport report = perform(arguments);
    print_result(arguments.json ? to_json(report) : to_text(report));
    return kExitOk;
  } catch (const FaultOfRun& fault) {
    print_error(fault.what(), exit_code_of(fault.kind()) == kExitFault ? fault.hint() : "");
    return exit_code_of(fault.kind());
  } catch (const Fault& fault) {
    print_error(fault.what(), "");
    return exit_code_of(fault.kind());
  }
}

}  // namespace flashmask::command
