#pragma once

#include <vector>

#include "runtime/mask/argument_text.h"

namespace flashmask {

/// A kind, and what builds it from its arguments.
struct BuildableKind {
  MaskKind kind;
  Mask (*make)(const ArgumentReader& arguments, const masks::SequenceLengths& lengths);
};

// The tables of the groups, in the order in which people read them.
std::vector<BuildableKind> paper_kinds();
std::vector<BuildableKind> language_kinds();
std::vector<BuildableKind> vision_kinds();  ///< and diffusion
std::vector<BuildableKind> permuted_kinds();

// What most tables declare.
constexpr MaskParameter required(std::string_view name, MaskParameterType type, std::string_view summary,
                                 std::string_view example) {
  return {name, type, summary, "", true, example};
}
constexpr MaskParameter optional(std::string_view name, MaskParameterType type, std::string_view summary,
                                 std::string_view default_value, std::string_view example) {
  return {name, type, summary, default_value, false, example};
}
constexpr MaskParameter causal_alignment_parameter() {
  return optional("causal-alignment", MaskParameterType::kAlignment,
                  "where the diagonal ends when the lengths differ: bottom-right or top-left", "bottom-right",
                  "bottom-right");
}

}  // namespace flashmask
