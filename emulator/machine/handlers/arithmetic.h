#pragma once

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {

// add, sub, mul … exist for integers, floats and packed halves: one dispatcher looks at the type.
void lower_integer_arithmetic(Builder& builder);
void lower_floating_arithmetic(Builder& builder);
void lower_half_arithmetic(Builder& builder);
void add_integer_only(LowerTable& table);
void add_functions(LowerTable& table);
void lower_half_exponential(Builder& builder);
void lower_half_tangent(Builder& builder);

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
