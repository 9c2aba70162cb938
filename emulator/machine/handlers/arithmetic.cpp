#include "emulator/machine/handlers/arithmetic.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

void lower_arithmetic(Builder& builder) {
  const std::optional<ptx::Type> type = builder.next_type();
  if (!type) builder.malformed("a type is missing");
  if (*type == ptx::Type::kF32 || *type == ptx::Type::kF64) return lower_floating_arithmetic(builder);
  if (ptx::is_float(*type)) return lower_half_arithmetic(builder);
  lower_integer_arithmetic(builder);
}

}  // namespace

void add_arithmetic(LowerTable& table) {
  for (const char* name : {"add", "sub", "mul", "mad", "fma", "div", "rem", "min", "max", "abs", "neg"}) {
    table[name] = lower_arithmetic;
  }
  add_integer_only(table);
  add_functions(table);
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
