#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "emulator/machine/core/warp.h"
#include "emulator/machine/handlers/families.h"
#include "emulator/machine/lowering/builder.h"
#include "emulator/machine/lowering/source_line.h"

namespace flashmask::emulator {
namespace {

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// What a register takes per lane; a predicate is one word per warp.
std::uint32_t register_bytes(ptx::Type type) {
  return type == ptx::Type::kPred ? 4 : std::max(2u, ptx::size_of(type)) * kLanes;
}

constexpr std::uint64_t kMostRegisterBytes = std::uint64_t{1} << 26;
constexpr std::uint64_t kMostConstantBytes = std::uint64_t{1} << 26;
constexpr std::uint64_t kMostLocalBytes = 512 * 1024;
constexpr std::uint64_t kMostStaticSharedBytes = 232448;
constexpr std::uint64_t kMostParameterBytes = 32764;

}  // namespace

KernelBuilder::KernelBuilder(const ptx::Module& module, const ptx::Kernel& kernel, const GlobalVariables& globals,
                             CompiledProgram& program)
    : module_(module), kernel_(kernel), globals_(globals), program_(program) {}

CompiledKernel KernelBuilder::build() {
  compiled_.name = kernel_.name;
  compiled_.line = kernel_.line;
  compiled_.required_threads = kernel_.required_threads;
  compiled_.maximal_threads = kernel_.maximal_threads;
  compiled_.maximal_registers = kernel_.maximal_registers;
  compiled_.required_cluster = kernel_.cluster;
  place_registers();
  place_variables();
  lower_all();
  compiled_.register_bytes = static_cast<std::uint32_t>(align_up(compiled_.register_bytes, 64));
  compiled_.constants = AlignedBytes(constants_.size());
  if (!constants_.empty()) std::memcpy(compiled_.constants.data(), constants_.data(), constants_.size());
  return std::move(compiled_);
}

void KernelBuilder::place_registers() {
  std::uint64_t at = 0;
  for (const ptx::Register& each : kernel_.registers) {
    // Predicates pack; vectors stand on cache lines.
    if (each.type != ptx::Type::kPred) at = align_up(at, 64);
    register_offsets_.push_back(static_cast<Ref>(at));
    at += register_bytes(each.type);
    if (at > kMostRegisterBytes) fail_registers();
  }
  compiled_.register_bytes = static_cast<std::uint32_t>(align_up(at, 64));
}

void KernelBuilder::place_variables() {
  const auto place = [&](const ptx::Variable& variable, std::uint64_t& at, std::uint64_t most) {
    at = align_up(at, variable.alignment);
    // A variable of the kernel hides one of the module, and is placed first.
    symbols_.try_emplace(variable.name, Symbol{variable.space, at});
    at += variable.bytes;
    if (at > most) {
      fail(Fault::Kind::kUnsupported, variable.position,
           fmt::format("'{}' makes the .{} space larger than {} bytes", variable.name, ptx::name_of(variable.space),
                       most));
    }
  };
  std::uint64_t parameters = 0;
  std::uint64_t shared = compiled_.reserved_shared_bytes = asks_for_reserved_memory() ? kReservedSharedBytes : 0;
  std::uint64_t local = 0;
  for (const ptx::Variable& each : kernel_.parameters) {
    place(each, parameters, kMostParameterBytes);
    compiled_.parameters.push_back({each.name, each.bytes, each.alignment});
  }
  for (const ptx::Variable& each : kernel_.variables) {
    if (each.space == ptx::Space::kLocal) place(each, local, kMostLocalBytes);
  }
  const std::uint64_t most_shared = kMostStaticSharedBytes + compiled_.reserved_shared_bytes;
  const auto place_shared = [&](const std::vector<ptx::Variable>& variables) {
    for (const ptx::Variable& each : variables) {
      if (each.space == ptx::Space::kShared && each.bytes != 0) place(each, shared, most_shared);
    }
  };
  place_shared(kernel_.variables);
  place_shared(module_.variables);
  std::uint64_t alignment = 16;
  const auto each_dynamic = [&](auto visit) {
    for (const auto* variables : {&kernel_.variables, &module_.variables}) {
      for (const ptx::Variable& each : *variables) {
        if (each.space == ptx::Space::kShared && each.bytes == 0) visit(each);
      }
    }
  };
  each_dynamic([&](const ptx::Variable& each) { alignment = std::max(alignment, each.alignment); });
  const std::uint64_t dynamic = align_up(shared, alignment);
  each_dynamic(
      [&](const ptx::Variable& each) { symbols_.try_emplace(each.name, Symbol{ptx::Space::kShared, dynamic}); });
  compiled_.parameter_bytes = static_cast<std::uint32_t>(parameters);
  compiled_.static_shared_bytes = static_cast<std::uint32_t>(shared);
  compiled_.dynamic_shared_offset = static_cast<std::uint32_t>(dynamic);
  // Lanes keep the alignment of the widest access.
  compiled_.local_bytes = static_cast<std::uint32_t>(align_up(local, 16));
}

bool KernelBuilder::asks_for_reserved_memory() const {
  const auto is_place = [](const ptx::Operand& operand) {
    return operand.kind == ptx::Operand::Kind::kSpecial && operand.name.starts_with("%reserved_smem_offset_");
  };
  return std::any_of(kernel_.instructions.begin(), kernel_.instructions.end(), [&](const ptx::Instruction& each) {
    return std::any_of(each.operands.begin(), each.operands.end(), is_place);
  });
}

void KernelBuilder::lower_all() {
  const LowerTable& table = lower_table();
  std::vector<std::uint32_t> starts;
  starts.reserve(kernel_.instructions.size() + 1);
  for (const ptx::Instruction& each : kernel_.instructions) {
    starts.push_back(static_cast<std::uint32_t>(compiled_.code.size()));
    const auto found = table.find(each.opcode);
    if (found == table.end()) {
      fail(Fault::Kind::kUnsupported, {each.line, each.column},
           "the instruction '" + each.full_name() + "' is not known");
    }
    Builder builder(*this, each);
    found->second(builder);
    builder.expect_nothing_left();
    if (builder.operation.run == nullptr) continue;
    builder.emit(builder.operation);
    note_touches(builder.touches());
  }
  starts.push_back(static_cast<std::uint32_t>(compiled_.code.size()));
  Operation end;
  end.run = exit_handler();
  end.line = 0;
  end.statistics_class = class_named("control");
  compiled_.code.push_back(end);
  note_touches({});
  name_registers();
  // Until here branches carry the index of a PTX instruction.
  for (Operation& each : compiled_.code) {
    if (each.run == branch_handler()) each.immediate = starts[each.immediate];
  }
  for (const auto& list : kernel_.branch_targets) {
    std::vector<std::uint32_t> targets;
    for (const std::uint32_t each : list) targets.push_back(starts[each]);
    compiled_.branch_targets.push_back(std::move(targets));
  }
}

void KernelBuilder::note_touches(const std::vector<CompiledKernel::Touch>& touches) {
  // Operations before the last one that the same instruction needed, such as the load of a special register, touch
  // none.
  std::vector<std::uint32_t>& begin = compiled_.touch_begin;
  begin.resize(compiled_.code.size(), static_cast<std::uint32_t>(compiled_.touches.size()));
  compiled_.touches.insert(compiled_.touches.end(), touches.begin(), touches.end());
}

void KernelBuilder::name_registers() {
  if (!compiled_.tracks_registers) {
    compiled_.touches.clear();
    compiled_.touch_begin.clear();
    return;
  }
  compiled_.touch_begin.push_back(static_cast<std::uint32_t>(compiled_.touches.size()));
  for (std::size_t i = 0; i < kernel_.registers.size(); ++i) {
    if (kernel_.registers[i].type == ptx::Type::kPred) continue;
    compiled_.register_names.emplace(register_offsets_[i], kernel_.registers[i].name);
  }
}

Ref KernelBuilder::constant(std::uint64_t bits, std::uint32_t size) {
  const auto key = std::make_pair(bits, size);
  if (const auto found = known_constants_.find(key); found != known_constants_.end()) return found->second;
  const std::uint32_t element = size == 0 ? 4 : std::max(2u, size);
  const std::size_t at = constants_.size();
  if (at > kMostConstantBytes) {
    fail(Fault::Kind::kUnsupported, {kernel_.line, kernel_.column},
         fmt::format("the kernel's constants take more than {} bytes, 32 lanes each", kMostConstantBytes));
  }
  constants_.resize(at + std::max<std::size_t>(64, std::size_t{element} * kLanes));
  for (std::uint32_t lane = 0; lane < (size == 0 ? 1 : kLanes); ++lane) {
    std::memcpy(constants_.data() + at + std::size_t{lane} * element, &bits, std::min(element, 8u));
  }
  const Ref ref = kConstantBit | static_cast<Ref>(at);
  known_constants_.emplace(key, ref);
  return ref;
}

Ref KernelBuilder::temporary(std::uint32_t size) {
  const auto ref = static_cast<Ref>(compiled_.register_bytes);
  compiled_.register_bytes += static_cast<std::uint32_t>(align_up(std::max(2u, size) * kLanes, 64));
  if (compiled_.register_bytes > kMostRegisterBytes) fail_registers();
  return ref;
}

std::uint64_t KernelBuilder::add_product(WarpgroupProduct product) {
  compiled_.products.push_back(std::move(product));
  return compiled_.products.size() - 1;
}

std::uint64_t KernelBuilder::add_product(WarpProduct product) {
  compiled_.warp_products.push_back(std::move(product));
  return compiled_.warp_products.size() - 1;
}

const std::string& KernelBuilder::target() const {
  return module_.target;
}

std::uint16_t KernelBuilder::class_named(std::string_view name) {
  auto& names = program_.class_names;
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) names.emplace_back(name);
  return static_cast<std::uint16_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

std::optional<KernelBuilder::Symbol> KernelBuilder::find_symbol(const std::string& name) const {
  if (const auto found = symbols_.find(name); found != symbols_.end()) return found->second;
  if (const auto found = globals_.find(name); found != globals_.end()) {
    return Symbol{ptx::Space::kGlobal, found->second};
  }
  return std::nullopt;
}

void KernelBuilder::fail_registers() const {
  fail(Fault::Kind::kUnsupported, {kernel_.line, kernel_.column},
       fmt::format("the registers of a warp take more than {} bytes", kMostRegisterBytes));
}

void KernelBuilder::fail(Fault::Kind kind, ptx::Position position, const std::string& what) const {
  const std::string& line = program_.lines.at(position.line - 1);
  throw Fault(kind, fmt::format("{}\n{}\n  in {}", what, point_at(line, position), kernel_.name));
}

}  // namespace flashmask::emulator
