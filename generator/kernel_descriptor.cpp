#include "flashmask/kernel_descriptor.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "generator/architecture.h"

namespace flashmask {
namespace {

template <class Value, std::size_t kCount>
using Names = std::array<std::pair<Value, std::string_view>, kCount>;

constexpr Names<Pass, 4> kPasses{{{Pass::kForward, "forward"},
                                  {Pass::kMaskPlan, "mask-plan"},
                                  {Pass::kMaskBuild, "mask-build"},
                                  {Pass::kBackward, "backward"}}};
constexpr Names<DataType, 2> kDataTypes{{{DataType::kFloat16, "fp16"}, {DataType::kBfloat16, "bf16"}}};
constexpr Names<MaskForm, 7> kMaskForms{{{MaskForm::kNone, "none"},
                                         {MaskForm::kCausal, "causal"},
                                         {MaskForm::kWindow, "window"},
                                         {MaskForm::kC1, "c1"},
                                         {MaskForm::kC2, "c2"},
                                         {MaskForm::kF2, "f2"},
                                         {MaskForm::kF4, "f4"}}};
constexpr Names<CausalAlignment, 2> kAlignments{
    {{CausalAlignment::kBottomRight, "bottom-right"}, {CausalAlignment::kTopLeft, "top-left"}}};

/// "invalid" for a value outside the enumeration (a cast integer), which broken_rules() reports.
template <class Value, std::size_t kCount>
std::string_view name_of(const Names<Value, kCount>& names, Value value) {
  for (const auto& [known, name] : names)
    if (known == value) return name;
  return "invalid";
}

template <class Value, std::size_t kCount>
std::optional<Value> value_of(const Names<Value, kCount>& names, std::string_view text) {
  for (const auto& [value, name] : names)
    if (name == text) return value;
  return std::nullopt;
}

template <class Value, std::size_t kCount>
void check_known(std::vector<std::string>& rules, std::string_view field, const Names<Value, kCount>& names,
                 Value value) {
  if (name_of(names, value) != "invalid") return;
  std::string allowed;
  for (const auto& [known, name] : names) allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  rules.push_back(fmt::format("{} = {}: not a known value; known are {}", field, static_cast<int>(value), allowed));
}

void check_head_dim(std::vector<std::string>& rules, std::string_view field, int head_dim) {
  if (head_dim >= 8 && head_dim <= 256 && head_dim % 8 == 0) return;
  std::string rule = fmt::format("{} = {}: a multiple of 8 from 8 to 256 is needed", field, head_dim);
  if (head_dim > 0 && head_dim < 256) rule += fmt::format(" (pad to {})", (head_dim + 7) / 8 * 8);
  rules.push_back(std::move(rule));
}

void check_nothing_of_attention(std::vector<std::string>& rules, const KernelDescriptor& descriptor,
                                std::string_view what, std::string_view maker) {
  if (descriptor.head_dim_qk == 0 && descriptor.head_dim_v == 0 && descriptor.dtype == DataType::kBfloat16) return;
  rules.push_back(fmt::format(
      "head_dim_qk = {}, head_dim_v = {}, dtype = {}: a mask {} knows none of them; leave the head dims at 0 "
      "and the dtype at bf16, as KernelDescriptor::{}() does",
      descriptor.head_dim_qk, descriptor.head_dim_v, to_string(descriptor.dtype), what, maker));
}

void check_build_form(std::vector<std::string>& rules, const KernelDescriptor& descriptor) {
  if (descriptor.mask_form != MaskForm::kC1 && descriptor.mask_form != MaskForm::kF2)
    rules.push_back(fmt::format("mask_form = {}: masks of forms c1 and f2 are built on the device; the host builds all",
                                to_string(descriptor.mask_form)));
  if (descriptor.mask_form == MaskForm::kC1 && descriptor.causal_alignment == CausalAlignment::kTopLeft)
    rules.push_back(
        "causal_alignment = top-left: the queries of a mask that is built are the last positions of the keys; "
        "use bottom-right, the default");
}

}  // namespace

bool is_attention(Pass pass) {
  return pass != Pass::kMaskPlan && pass != Pass::kMaskBuild;
}

int vectors_per_column(MaskForm form) {
  switch (form) {
    case MaskForm::kC1:
      return 1;
    case MaskForm::kC2:
    case MaskForm::kF2:
      return 2;
    case MaskForm::kF4:
      return 4;
    default:
      return 0;
  }
}

bool has_diagonal(MaskForm form) {
  return form == MaskForm::kCausal || form == MaskForm::kWindow || form == MaskForm::kC1 || form == MaskForm::kC2;
}

std::optional<MaskForm> mask_form_of(bool causal, int vectors) {
  if (causal && vectors == 1) return MaskForm::kC1;
  if (causal && vectors == 2) return MaskForm::kC2;
  if (!causal && vectors == 2) return MaskForm::kF2;
  if (!causal && vectors == 4) return MaskForm::kF4;
  return std::nullopt;
}

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor) {
  std::vector<std::string> rules;
  check_known(rules, "pass", kPasses, descriptor.pass);
  check_known(rules, "dtype", kDataTypes, descriptor.dtype);
  if (descriptor.pass == Pass::kMaskPlan) {
    check_nothing_of_attention(rules, descriptor, "plan", "mask_plan");
    if (vectors_per_column(descriptor.mask_form) == 0)
      rules.push_back(fmt::format("mask_form = {}: closed forms need no plan; c1, c2, f2 and f4 have one",
                                  to_string(descriptor.mask_form)));
  } else if (descriptor.pass == Pass::kMaskBuild) {
    check_nothing_of_attention(rules, descriptor, "build", "mask_build");
    check_build_form(rules, descriptor);
  } else {
    check_head_dim(rules, "head_dim_qk", descriptor.head_dim_qk);
    check_head_dim(rules, "head_dim_v", descriptor.head_dim_v);
  }
  if (descriptor.deterministic && descriptor.pass != Pass::kBackward)
    rules.push_back(
        fmt::format("deterministic = true: only the backward has a choice, a {} always repeats its bits; "
                    "leave it false",
                    to_string(descriptor.pass)));
  check_known(rules, "mask_form", kMaskForms, descriptor.mask_form);
  check_known(rules, "causal_alignment", kAlignments, descriptor.causal_alignment);
  if (descriptor.causal_alignment == CausalAlignment::kTopLeft && !has_diagonal(descriptor.mask_form))
    rules.push_back(fmt::format(
        "causal_alignment = top-left: mask form {} has no diagonal to align; use bottom-right, the default, with it",
        to_string(descriptor.mask_form)));
  if (generator::find_architecture(descriptor.target) == nullptr)
    rules.push_back(fmt::format("target = {}: not a known architecture; known are {}", to_string(descriptor.target),
                                known_targets()));
  return rules;
}

std::string_view to_string(Pass pass) {
  return name_of(kPasses, pass);
}
std::string_view to_string(DataType dtype) {
  return name_of(kDataTypes, dtype);
}
std::string_view to_string(MaskForm form) {
  return name_of(kMaskForms, form);
}
std::string_view to_string(CausalAlignment alignment) {
  return name_of(kAlignments, alignment);
}
std::string to_string(Target target) {
  return fmt::format("sm_{}{}", target.compute_capability, target.arch_specific ? "a" : "");
}

std::string to_string(const KernelDescriptor& descriptor) {
  std::string text(to_string(descriptor.pass));
  if (is_attention(descriptor.pass)) {
    text += fmt::format(" {} d{}", to_string(descriptor.dtype), descriptor.head_dim_qk);
    if (descriptor.head_dim_v != descriptor.head_dim_qk) text += fmt::format("/{}", descriptor.head_dim_v);
  }
  text += fmt::format(" {}", to_string(descriptor.mask_form));
  if (has_diagonal(descriptor.mask_form)) text += fmt::format(" {}", to_string(descriptor.causal_alignment));
  text += " " + to_string(descriptor.target);
  return descriptor.deterministic ? text + " deterministic" : text;
}

std::optional<Pass> parse_pass(std::string_view text) {
  return value_of(kPasses, text);
}
std::optional<DataType> parse_data_type(std::string_view text) {
  return value_of(kDataTypes, text);
}
std::optional<MaskForm> parse_mask_form(std::string_view text) {
  return value_of(kMaskForms, text);
}
std::optional<CausalAlignment> parse_causal_alignment(std::string_view text) {
  return value_of(kAlignments, text);
}

std::optional<Target> parse_target(std::string_view text) {
  for (const generator::Architecture& architecture : generator::architectures())
    for (const bool arch_specific : {false, true}) {
      const Target target{architecture.compute_capability, arch_specific};
      if ((!arch_specific || architecture.has_arch_specific) && to_string(target) == text) return target;
    }
  return std::nullopt;
}

std::string known_targets() {
  std::string names;
  for (const generator::Architecture& architecture : generator::architectures()) {
    names += fmt::format("{}sm_{}", names.empty() ? "" : ", ", architecture.compute_capability);
    if (architecture.has_arch_specific) names += fmt::format(", sm_{}a", architecture.compute_capability);
  }
  return names;
}

}  // namespace flashmask
