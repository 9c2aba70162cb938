#pragma once

#include "tools/command/emulate_json.h"
#include "tools/command/emulate_spec.h"

namespace flashmask::command {

/// The value of "tensor_map": 128 bytes, which its patch fills in. The rules of the numbers are those of the encoding,
/// and judged there. Throws Error{kInvalidArgument}.
ParameterSpec read_tensor_map(const SpecValue& value);

}  // namespace flashmask::command
