#pragma once

#include <cstdint>
#include <string>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"
#include "tools/command/arguments.h"

namespace flashmask::command {

// The values of options. Each parser takes the whole text or throws Error{kInvalidArgument} that names the option, the
// text and what is allowed.

/// The value of an integer option.
int parse_integer(const char* option, const std::string& text, int least, int most);
/// "L,R", each -1 or more.
Window parse_window(const std::string& text);
/// "Q,K", each 1 or more.
TileShape parse_tile(const std::string& text);
/// What to_string(TileConfig) writes, with commas or spaces; whether a kernel can have it is not judged here.
TileConfig parse_config(const std::string& text);
/// Finite and > 0 as a float.
float parse_scale(const std::string& text);
/// Above 0, at most 1.
double parse_density(const std::string& text);
std::uint64_t parse_seed(const std::string& text);
DeviceChoice parse_device(const std::string& text);
/// "D" or "D,Dv" into both head dims; whether a kernel serves them is not judged here.
void parse_head_dims(const std::string& text, KernelDescriptor& descriptor);

// As above, for the names of descriptor fields.
Pass require_pass(const std::string& text);
DataType require_data_type(const std::string& text);
MaskForm require_mask_form(const std::string& text);
CausalAlignment require_causal_alignment(const std::string& text);
Target require_target(const std::string& text);

}  // namespace flashmask::command
