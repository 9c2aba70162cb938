#include "emulator/machine/machine.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "emulator/machine/core/interpreter.h"
#include "emulator/machine/core/shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {

struct Machine::State {
  MachineOptions options;
  GlobalMemory memory;
  /// Module variables of the programs that ran here, by CompiledProgram::id.
  std::map<std::uint64_t, std::vector<Address>> variables;
  std::uint64_t launches = 0;
  std::vector<std::string> notes;
};

namespace {

constexpr std::uint32_t kMostThreads = 1024;
constexpr std::uint64_t kMostGrid[3] = {0x7fffffff, 65535, 65535};
/// All of them have memory and registers at the same time.
constexpr std::uint64_t kMostCooperativeCtas = 256;
/// What the driver gives a cooperative grid: its own size, and the word of the grid's barrier.
constexpr std::uint32_t kGridWorkspace[2] = {8, 0};

[[noreturn]] void refuse(const CompiledKernel& kernel, const std::string& why) {
  throw Fault(Fault::Kind::kLaunch, fmt::format("{} cannot be launched: {}", kernel.name, why));
}

void check_cluster(const CompiledKernel& kernel, const LaunchShape& shape) {
  std::uint64_t size = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    if (shape.cluster[i] == 0 || shape.grid[i] % shape.cluster[i] != 0) {
      refuse(kernel, fmt::format("grid dimension {} is {}, which is not a multiple of the cluster's {}", i,
                                 shape.grid[i], shape.cluster[i]));
    }
    size *= shape.cluster[i];
  }
  if (size > kMostClusterSize) {
    refuse(kernel, fmt::format("a cluster of {} CTAs, at most {} are allowed", size, kMostClusterSize));
  }
  const auto& required = kernel.required_cluster;
  if (required[0] != 0 && !std::equal(required.begin(), required.end(), shape.cluster)) {
    refuse(kernel, fmt::format("clusters of {}x{}x{} CTAs are required (.reqnctapercluster)", required[0], required[1],
                               required[2]));
  }
}

std::uint64_t ctas_of(const LaunchShape& shape) {
  return std::uint64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
}

void check_cooperation(const CompiledKernel& kernel, const LaunchShape& shape) {
  if (!shape.cooperative || ctas_of(shape) <= kMostCooperativeCtas) return;
  refuse(kernel,
         fmt::format("a cooperative grid of {} CTAs, which must all be resident at once: at most {} are allowed",
                     ctas_of(shape), kMostCooperativeCtas));
}

std::uint32_t check_shape(const CompiledKernel& kernel, const LaunchShape& shape) {
  std::uint64_t threads = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    if (shape.grid[i] == 0 || shape.grid[i] > kMostGrid[i]) {
      refuse(kernel, fmt::format("grid dimension {} is {}, 1 to {} are allowed", i, shape.grid[i], kMostGrid[i]));
    }
    if (shape.block[i] == 0 || shape.block[i] > kMostThreads) {
      refuse(kernel, fmt::format("block dimension {} is {}, 1 to {} are allowed", i, shape.block[i], kMostThreads));
    }
    threads *= shape.block[i];
  }
  check_cluster(kernel, shape);
  check_cooperation(kernel, shape);
  if (threads > kMostThreads)
    refuse(kernel, fmt::format("a block of {} threads, {} are allowed", threads, kMostThreads));
  const auto& required = kernel.required_threads;
  if (required[0] != 0 && !std::equal(required.begin(), required.end(), shape.block)) {
    refuse(kernel,
           fmt::format("blocks of {}x{}x{} threads are required (.reqntid)", required[0], required[1], required[2]));
  }
  const auto& maximal = kernel.maximal_threads;
  const std::uint64_t most = std::uint64_t{maximal[0]} * maximal[1] * maximal[2];
  if (most != 0 && threads > most) {
    refuse(kernel, fmt::format("a block of {} threads, at most {} are declared (.maxntid)", threads, most));
  }
  return static_cast<std::uint32_t>(threads);
}

Allocation& find_or_fault(GlobalMemory& memory, Address address, std::uint64_t bytes, std::string_view what) {
  Allocation* allocation = memory.find(address, bytes);
  if (allocation == nullptr) {
    throw Fault(Fault::Kind::kOutOfBounds,
                fmt::format("{} of {} bytes at {:#x}: {}", what, bytes, address, memory.describe(address)));
  }
  return *allocation;
}

}  // namespace

Machine::Machine(MachineOptions options) : state_(std::make_unique<State>()) {
  state_->options = options;
}
Machine::~Machine() = default;
Machine::Machine(Machine&&) noexcept = default;
Machine& Machine::operator=(Machine&&) noexcept = default;

Address Machine::allocate(std::size_t bytes) {
  return state_->memory.allocate(bytes);
}

void Machine::release(Address address) {
  if (!state_->memory.release(address)) {
    throw Fault(Fault::Kind::kOutOfBounds,
                fmt::format("release of {:#x}, which is not the start of an allocation", address));
  }
}

void Machine::write(Address destination, std::span<const std::byte> source) {
  if (source.empty()) return;
  Allocation& allocation = find_or_fault(state_->memory, destination, source.size(), "a copy from the host");
  const std::uint64_t offset = destination - allocation.base;
  std::memcpy(allocation.data + offset, source.data(), source.size());
  std::memset(allocation.shadow + offset, kWritten, source.size());
}

void Machine::read(std::span<std::byte> destination, Address source) const {
  if (destination.empty()) return;
  const Allocation& allocation = find_or_fault(state_->memory, source, destination.size(), "a copy to the host");
  const std::uint64_t offset = source - allocation.base;
  const std::uint8_t* shadow = allocation.shadow + offset;
  const std::uint8_t* unwritten =
      std::find_if(shadow, shadow + destination.size(), [](std::uint8_t flags) { return (flags & kWritten) == 0; });
  if (unwritten != shadow + destination.size()) {
    throw Fault(Fault::Kind::kUninitialised,
                fmt::format("a copy of {} bytes at {:#x} to the host: byte {} of them was never written",
                            destination.size(), source, unwritten - shadow));
  }
  std::memcpy(destination.data(), allocation.data + offset, destination.size());
}

void Machine::fill(Address destination, std::uint8_t value, std::size_t bytes) {
  if (bytes == 0) return;
  Allocation& allocation = find_or_fault(state_->memory, destination, bytes, "a fill");
  const std::uint64_t offset = destination - allocation.base;
  std::memset(allocation.data + offset, value, bytes);
  std::memset(allocation.shadow + offset, kWritten, bytes);
}

namespace {

/// Module variables get memory and their initial values when a program first runs on a machine.
std::vector<Address> place_variables(Machine& machine, const CompiledProgram& program) {
  std::vector<Address> addresses;
  for (const ptx::Variable& each : program.variables) {
    addresses.push_back(machine.allocate(each.bytes));
    // Device memory without an initialiser starts as zeros.
    if (each.initial.empty()) {
      machine.fill(addresses.back(), 0, each.bytes);
    } else {
      machine.write(addresses.back(), std::as_bytes(std::span(each.initial)));
    }
  }
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    for (const ptx::Relocation& each : program.variables[i].relocations) {
      const auto target = std::find_if(program.variables.begin(), program.variables.end(),
                                       [&](const ptx::Variable& other) { return other.name == each.symbol; });
      if (target == program.variables.end()) {
        throw Fault(Fault::Kind::kSyntax, fmt::format("the initial value of '{}' names '{}', which is not declared",
                                                      program.variables[i].name, each.symbol));
      }
      const Address value = addresses[static_cast<std::size_t>(target - program.variables.begin())] +
                            static_cast<std::uint64_t>(each.addend);
      machine.write(addresses[i] + each.offset, std::as_bytes(std::span(&value, 1)));
    }
  }
  return addresses;
}

/// Copies in flight end with the launch, also when it ends with a Fault.
struct LaunchEnd {
  Launch& launch;
  ~LaunchEnd() {
    if (launch.grid_workspace != 0) launch.memory->release(launch.grid_workspace);
    for (const auto& copy : launch.bulk_copies) {
      if (copy->direction != BulkCopy::Direction::kToGlobal) continue;
      for (const BulkCopy::Run& run : copy->runs) {
        Allocation* allocation = launch.memory->find(run.other, run.bytes);
        if (allocation == nullptr || run.fills) continue;
        std::uint8_t* shadow = allocation->shadow + (run.other - allocation->base);
        for (std::uint32_t i = 0; i < run.bytes; ++i) shadow[i] &= kWritten;
      }
    }
    launch.memory->end_launch();
  }
};

const CompiledKernel& find_kernel(const CompiledProgram& program, std::string_view entry) {
  const auto found = program.kernels.find(entry);
  if (found != program.kernels.end()) return found->second;
  std::string known;
  for (const auto& [name, kernel] : program.kernels) known += " " + name;
  throw Fault(Fault::Kind::kLaunch, fmt::format("there is no entry '{}'; the program has:{}", entry, known));
}

}  // namespace

Statistics Machine::launch(const Program& program, std::string_view entry, const LaunchShape& shape,
                           std::span<const std::byte> parameters) {
  // Another launch of the same machine sees another interleaving, and the same run sees the same ones.
  Turns turns(state_->options.schedule, Random(state_->options.seed * 0x2545f4914f6cdd1dull + ++state_->launches));
  return run(program, entry, shape, parameters, turns);
}

Statistics Machine::run(const Program& program, std::string_view entry, const LaunchShape& shape,
                        std::span<const std::byte> parameters, Turns& turns) {
  const auto& compiled = dynamic_cast<const CompiledProgram&>(program);
  const CompiledKernel& kernel = find_kernel(compiled, entry);
  Launch launch;
  launch.program = &compiled;
  launch.kernel = &kernel;
  launch.shape = shape;
  launch.threads = check_shape(kernel, shape);
  if (parameters.size() != kernel.parameter_bytes) {
    refuse(kernel,
           fmt::format("{} bytes of parameters are given, it takes {}", parameters.size(), kernel.parameter_bytes));
  }
  const std::uint64_t shared = kernel.dynamic_shared_offset + std::uint64_t{shape.dynamic_shared_bytes};
  const std::uint64_t own = shared - kernel.reserved_shared_bytes;
  if (own > state_->options.max_shared_bytes) {
    refuse(kernel, fmt::format("{} bytes of shared memory ({} static, {} dynamic), {} are allowed", own,
                               kernel.dynamic_shared_offset - kernel.reserved_shared_bytes, shape.dynamic_shared_bytes,
                               state_->options.max_shared_bytes));
  }
  launch.shared_bytes =
      shape.dynamic_shared_bytes == 0 ? kernel.static_shared_bytes : static_cast<std::uint32_t>(shared);
  launch.parameters = parameters.data();
  launch.parameter_bytes = parameters.size();
  launch.memory = &state_->memory;
  launch.random = Random(state_->options.seed ^ state_->launches);
  launch.turns = &turns;
  launch.races = state_->options.races;
  launch.ordered_sums = state_->options.ordered_sums;
  launch.pedantic = state_->options.pedantic;
  launch.notes = state_->options.pedantic ? &state_->notes : nullptr;
  launch.trace = state_->options.trace ? &state_->options.trace : nullptr;
  launch.class_counts.assign(compiled.class_names.size(), 0);
  auto& placed = state_->variables[compiled.id];
  if (placed.size() != compiled.variables.size()) placed = place_variables(*this, compiled);
  launch.variable_addresses = placed;
  const LaunchEnd end{launch};
  std::uint64_t resident = static_cast<std::uint64_t>(std::max(1, state_->options.resident_ctas));
  if (shape.cooperative) {
    launch.grid_workspace = allocate(sizeof(kGridWorkspace));
    write(launch.grid_workspace, std::as_bytes(std::span(kGridWorkspace)));
    resident = ctas_of(shape);
  }
  run_grid(launch, static_cast<std::uint32_t>(resident));
  for (std::size_t i = 0; i < launch.class_counts.size(); ++i) {
    if (launch.class_counts[i] == 0) continue;
    launch.statistics.by_class[compiled.class_names[i]] = launch.class_counts[i];
    launch.statistics.instructions += launch.class_counts[i];
  }
  return launch.statistics;
}

namespace {

std::string describe_script(const std::vector<std::uint8_t>& script) {
  std::string text;
  for (std::size_t i = 0; i < script.size(); ++i) {
    if (script[i] != 0) text += fmt::format("{}choice {} passes over {}", text.empty() ? "" : ", ", i, script[i]);
  }
  return text.empty() ? "nobody is passed over" : text;
}

}  // namespace

Exploration Machine::explore(const Program& program, std::string_view entry, const LaunchShape& shape,
                             std::span<const std::byte> parameters, const ExplorationLimits& limits,
                             const std::function<void(Machine&)>& check) {
  // Variables of the program are part of the memory to come back to.
  const auto& compiled = dynamic_cast<const CompiledProgram&>(program);
  auto& placed = state_->variables[compiled.id];
  if (placed.size() != compiled.variables.size()) placed = place_variables(*this, compiled);
  const GlobalMemory::Snapshot start = state_->memory.snapshot();
  std::optional<GlobalMemory::Snapshot> end;
  Exploration result;
  result.complete = true;
  std::vector<std::vector<std::uint8_t>> scripts = {{}};
  while (!scripts.empty()) {
    if (result.runs == limits.most_runs) {
      result.complete = false;
      break;
    }
    const std::vector<std::uint8_t> script = std::move(scripts.back());
    scripts.pop_back();
    if (result.runs++ != 0) state_->memory.restore(start);
    Turns turns(script);
    try {
      run(program, entry, shape, parameters, turns);
      if (limits.same_results) {
        if (!end) end = state_->memory.snapshot();
        if (const std::string where = state_->memory.difference(*end); !where.empty()) {
          throw Fault(Fault::Kind::kRace, "two orders of the same launch leave different results: " + where);
        }
      }
      if (check) check(*this);
    } catch (const Fault& fault) {
      throw Fault(fault.kind(), fmt::format("{}\n  met in run {} of an exploration: {}", fault.what(), result.runs,
                                            describe_script(script)));
    }
    // Every script that differs from this one only by one later choice, so that each is made once.
    const int spent = std::accumulate(script.begin(), script.end(), 0);
    for (std::size_t i = script.size(); i < turns.widths().size(); ++i) {
      for (int passed = 1; passed < turns.widths()[i] && spent + passed <= limits.preemptions; ++passed) {
        if (result.runs + scripts.size() >= limits.most_runs) {
          result.complete = false;
          break;
        }
        scripts.push_back(script);
        scripts.back().resize(i, 0);
        scripts.back().push_back(static_cast<std::uint8_t>(passed));
      }
    }
  }
  return result;
}

std::vector<std::string> Machine::take_notes() {
  return std::exchange(state_->notes, {});
}

}  // namespace flashmask::emulator
