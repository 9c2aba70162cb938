#include "tools/command/values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

[[noreturn]] void refuse(std::string_view option, const std::string& text, std::string_view allowed) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}: {}", option, text, allowed));
}

/// The number that the text is, and nothing else around it.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "A,B", each at least `least`.
std::optional<std::pair<int, int>> parse_pair(std::string_view text, int least) {
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const std::optional<int> first = parse_number<int>(text.substr(0, comma));
  const std::optional<int> second = parse_number<int>(text.substr(comma + 1));
  if (!first || !second || *first < least || *second < least) return std::nullopt;
  return std::pair(*first, *second);
}

template <typename Value>
Value require(std::optional<Value> value, std::string_view option, const std::string& text,
              const std::string& allowed) {
  if (!value) refuse(option, text, allowed);
  return *value;
}

}  // namespace

int parse_integer(const char* option, const std::string& text, int least, int most) {
  const std::optional<int> value = parse_number<int>(text);
  if (!value || *value < least || *value > most) {
    refuse(option, text, fmt::format("an integer from {} to {} is needed", least, most));
  }
  return *value;
}

Window parse_window(const std::string& text) {
  const auto pair = parse_pair(text, -1);
  if (!pair) refuse("--window", text, "two integers L,R from 0, or -1 for a side without bound, are needed");
  return {pair->first, pair->second};
}

TileShape parse_tile(const std::string& text) {
  const auto pair = parse_pair(text, 1);
  if (!pair) refuse("--tile", text, "two positive integers Q,K are needed, such as 64,64");
  return {pair->first, pair->second};
}

TileConfig parse_config(const std::string& text) {
  return require(
      parse_tile_config(text), "--config", text,
      "QxK,wW,sS is needed and, in this order, what differs from the usual of qreg, cN, overlap, turns and qN, "
      "such as 128x64,w4,s2 or 128x128,w8,s2,overlap,turns,q2");
}

float parse_scale(const std::string& text) {
  const std::optional<float> scale = parse_number<float>(text);
  if (!scale || !std::isfinite(*scale) || !(*scale > 0)) {
    refuse("--scale", text, "a finite number > 0 is needed that a float can hold");
  }
  return *scale;
}

double parse_density(const std::string& text) {
  const std::optional<double> density = parse_number<double>(text);
  if (!density || !(*density > 0) || !(*density <= 1))
    refuse("--density", text, "a number above 0 and at most 1 is needed: the share of the scores");
  return *density;
}

std::uint64_t parse_seed(const std::string& text) {
  return require(parse_number<std::uint64_t>(text), "--seed", text, "an integer from 0 of at most 64 bits is needed");
}

DeviceChoice parse_device(const std::string& text) {
  if (text == "auto") return DeviceChoice::kAuto;
  if (text == "cuda") return DeviceChoice::kCuda;
  if (text == "emulator") return DeviceChoice::kEmulator;
  refuse("--device", text, "auto, cuda or emulator is needed");
}

void parse_head_dims(const std::string& text, KernelDescriptor& descriptor) {
  if (const std::optional<int> both = parse_number<int>(text); both && *both > 0) {
    descriptor.head_dim_qk = descriptor.head_dim_v = *both;
  } else if (const auto pair = parse_pair(text, 1)) {
    descriptor.head_dim_qk = pair->first;
    descriptor.head_dim_v = pair->second;
  } else {
    refuse("--head-dim", text, "D or D,Dv is needed, each a multiple of 8 from 8 to 256, such as 128 or 192,128");
  }
}

Pass require_pass(const std::string& text) {
  return require(parse_pass(text), "--pass", text, "forward, backward, mask-plan or mask-build is needed");
}

DataType require_data_type(const std::string& text) {
  return require(parse_data_type(text), "--dtype", text, "fp16 or bf16 is needed");
}

MaskForm require_mask_form(const std::string& text) {
  return require(parse_mask_form(text), "--form", text, "none, causal, window, c1, c2, f2 or f4 is needed");
}

CausalAlignment require_causal_alignment(const std::string& text) {
  return require(parse_causal_alignment(text), "--causal-alignment", text, "bottom-right or top-left is needed");
}

Target require_target(const std::string& text) {
  return require(parse_target(text), "--target", text, "a known architecture is needed: " + known_targets());
}

}  // namespace flashmask::command
