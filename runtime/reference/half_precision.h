#pragma once

#include <cstdint>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::reference {

/// Distance from |value| to the next larger number of the dtype: 2^-24 (fp16) or 2^-133 (bf16) at 0 and below the
/// normal numbers.
double unit_in_last_place(double value, DataType dtype);

/// `value` rounded to the dtype (nearest even) and back.
float rounded(float value, DataType dtype);

}  // namespace flashmask::reference
