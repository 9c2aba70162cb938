#include <fmt/format.h>

#include <string>
#include <string_view>

#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

/// "%0, %1, …": `count` operands of an asm statement from `first` on.
std::string operand_numbers(int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("{}%{}", i == 0 ? "" : ", ", first + i);
  return text;
}

/// The accumulators of a tile of so many columns, as operands that are read and written.
std::string accumulator_operands(int columns) {
  std::string text;
  for (int block = 0; block < columns / 8; ++block)
    for (int i = 0; i < 4; ++i)
      text += fmt::format("{}\"+f\"(c.block[0][{}].at[{}])", block + i == 0 ? "" : ", ", block, i);
  return text;
}

std::string product_text(std::string_view type, int columns) {
  const int registers = columns / 2;
  const std::string instruction = fmt::format("wgmma.mma_async.sync.aligned.m64n{}k16.f32.{}.{}", columns, type, type);
  const std::string results = operand_numbers(0, registers);
  const std::string accumulators = accumulator_operands(columns);
  return fmt::format(
      "template <>\n"
      "struct WarpgroupProduct<{columns}> {{\n"
      "  template <Major kMajorOfA, Major kMajorOfB, bool kAccumulates, class Tile>\n"
      "  static __device__ __forceinline__ void from_shared(Tile& c, unsigned long long a, unsigned long long b) {{\n"
      "    asm volatile(\n"
      "        \"{{\\n\"\n"
      "        \".reg .pred accumulates;\\n\"\n"
      "        \"setp.ne.b32 accumulates, %{accumulates}, 0;\\n\"\n"
      "        \"{instruction} {{{results}}}, %{a}, %{b}, accumulates, 1, 1, %{major_a}, %{major_b};\\n\"\n"
      "        \"}}\"\n"
      "        : {accumulators}\n"
      "        : \"l\"(a), \"l\"(b), \"n\"(kAccumulates ? 1 : 0), \"n\"(kMajorOfA == Major::kMn ? 1 : 0),\n"
      "          \"n\"(kMajorOfB == Major::kMn ? 1 : 0));\n"
      "  }}\n"
      "  template <Major kMajorOfB, class Tile, class Operand>\n"
      "  static __device__ __forceinline__ void from_registers(Tile& c, const Operand& a, unsigned long long b) {{\n"
      "    asm volatile(\n"
      "        \"{instruction} {{{results}}}, {{{a_registers}}}, %{b_after_registers}, 1, 1, 1, "
      "%{major_b_after_registers};\"\n"
      "        : {accumulators}\n"
      "        : \"r\"(a.reg[0]), \"r\"(a.reg[1]), \"r\"(a.reg[2]), \"r\"(a.reg[3]), \"l\"(b),\n"
      "          \"n\"(kMajorOfB == Major::kMn ? 1 : 0));\n"
      "  }}\n"
      "}};\n",
      fmt::arg("columns", columns), fmt::arg("instruction", instruction), fmt::arg("results", results),
      fmt::arg("accumulators", accumulators), fmt::arg("a", registers), fmt::arg("b", registers + 1),
      fmt::arg("accumulates", registers + 2), fmt::arg("major_a", registers + 3), fmt::arg("major_b", registers + 4),
      fmt::arg("a_registers", operand_numbers(registers, 4)), fmt::arg("b_after_registers", registers + 4),
      fmt::arg("major_b_after_registers", registers + 5));
}

}  // namespace

std::string warpgroup_product_text(DataType dtype, const std::set<int>& widths) {
  std::string text =
      "namespace flashmask {\n"
      "enum class Major { kK, kMn };\n"
      "template <int kColumns>\n"
      "struct WarpgroupProduct;\n";
  for (const int columns : widths) text += product_text(dtype == DataType::kBfloat16 ? "bf16" : "f16", columns);
  return text + "}  // namespace flashmask\n\n";
}

}  // namespace flashmask::generator
