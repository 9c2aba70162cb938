#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/lowering/builder.h"
#include "emulator/machine/lowering/source_line.h"
#include "emulator/ptx/module.h"

namespace flashmask::emulator {
namespace {

bool processor_has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

LowerTable make_table() {
  LowerTable table;
  add_control(table);
  add_memory(table);
  add_atomics(table);
  add_copies(table);
  add_cluster(table);
  add_fences(table);
  add_mbarriers(table);
  add_registers(table);
  add_warp_exchange(table);
  const auto add_families = [&](auto... add) { (add(table), ...); };
#if defined(FLASHMASK_EMULATOR_HAS_AVX2)
  if (processor_has_avx2()) {
    add_families(avx2::add_arithmetic, avx2::add_bits, avx2::add_comparison, avx2::add_conversion, avx2::add_matrix,
                 avx2::add_movement, avx2::add_wgmma, avx2::add_wmma);
    return table;
  }
#endif
  add_families(baseline::add_arithmetic, baseline::add_bits, baseline::add_comparison, baseline::add_conversion,
               baseline::add_matrix, baseline::add_movement, baseline::add_wgmma, baseline::add_wmma);
  return table;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

/// Line `number`, counted from 1; empty behind the last one.
std::string_view line_of(std::string_view text, std::uint32_t number) {
  for (std::uint32_t line = 1; line < number; ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

ptx::Module parse_or_fault(std::string_view text) {
  try {
    return ptx::parse_module(text);
  } catch (const ptx::ParseError& error) {
    const ptx::Position position = error.position();
    throw Fault(error.unsupported() ? Fault::Kind::kUnsupported : Fault::Kind::kSyntax,
                fmt::format("{}\n{}", error.what(), point_at(line_of(text, position.line), position)));
  }
}

}  // namespace

const LowerTable& lower_table() {
  static const LowerTable table = make_table();
  return table;
}

AlignedBytes::AlignedBytes(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const std::size_t rounded = (bytes + 63) / 64 * 64;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
  if (!data_) throw std::bad_alloc();
  std::memset(data_.get(), 0, rounded);
}

void AlignedBytes::Free::operator()(std::byte* memory) const {
  std::free(memory);
}

std::uint64_t CompiledProgram::next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::vector<EntryDeclaration> CompiledProgram::entries() const {
  std::vector<EntryDeclaration> result;
  for (const auto& [name, kernel] : kernels) result.push_back({name, kernel.parameters});
  return result;
}

std::shared_ptr<const Program> Program::parse(std::string_view ptx) {
  const ptx::Module module = parse_or_fault(ptx);
  auto program = std::make_shared<CompiledProgram>();
  program->lines = split_lines(ptx);
  GlobalVariables globals;
  for (const ptx::Variable& each : module.variables) {
    if (each.space == ptx::Space::kShared) continue;
    globals.emplace(each.name, program->variables.size());
    program->variables.push_back(each);
  }
  for (const ptx::Kernel& each : module.kernels) {
    program->kernels.emplace(each.name, KernelBuilder(module, each, globals, *program).build());
  }
  return program;
}

}  // namespace flashmask::emulator
