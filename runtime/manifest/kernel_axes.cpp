#include "runtime/manifest/kernel_axes.h"

#include <array>

namespace flashmask {
namespace {

constexpr std::array kForms = {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1,
                               MaskForm::kC2,   MaskForm::kF2,     MaskForm::kF4};
constexpr std::array kPlanForms = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};
constexpr std::array kBuildForms = {MaskForm::kC1, MaskForm::kF2};

std::span<const MaskForm> forms_for(const KernelAxes& axes, Pass pass) {
  return axes.all_forms ? forms_of(pass) : std::span<const MaskForm>(axes.forms);
}

/// What multiplies for a pass and a form.
struct Choices {
  std::span<const DataType> dtypes;
  std::span<const HeadDims> head_dims;
  std::span<const CausalAlignment> alignments;
  std::span<const std::optional<TileConfig>> configs;
  bool may_be_deterministic = false;
};

Choices choices_of(const KernelAxes& axes, Pass pass, MaskForm form) {
  static constexpr DataType kNoDtype[] = {DataType::kBfloat16};
  static constexpr HeadDims kNoHeadDims[] = {{0, 0}};
  static constexpr CausalAlignment kNoAlignment[] = {CausalAlignment::kBottomRight};
  static const std::optional<TileConfig> kNoConfig[] = {std::nullopt};
  Choices choices{kNoDtype, kNoHeadDims, kNoAlignment, kNoConfig, pass == Pass::kBackward};
  if (is_attention(pass))
    choices = {axes.dtypes, axes.head_dims, kNoAlignment, axes.configs, choices.may_be_deterministic};
  if (has_alignment(pass, form)) choices.alignments = axes.alignments;
  return choices;
}

}  // namespace

std::span<const MaskForm> forms_of(Pass pass) {
  switch (pass) {
    case Pass::kMaskPlan:
      return kPlanForms;
    case Pass::kMaskBuild:
      return kBuildForms;
    case Pass::kForward:
    case Pass::kBackward:
      break;
  }
  return kForms;
}

bool has_alignment(Pass pass, MaskForm form) {
  return has_diagonal(form) && pass != Pass::kMaskBuild;
}

std::size_t count(const KernelAxes& axes) {
  std::size_t sum = 0;
  for (const Pass pass : axes.passes) {
    for (const MaskForm form : forms_for(axes, pass)) {
      const Choices choices = choices_of(axes, pass, form);
      sum += axes.targets.size() * choices.dtypes.size() * choices.head_dims.size() * choices.alignments.size() *
             choices.configs.size() * (choices.may_be_deterministic ? axes.deterministic.size() : 1);
    }
  }
  return sum;
}

void expand(const KernelAxes& axes, std::vector<KernelRequest>& requests) {
  const std::vector<bool> always_repeats = {false};
  for (const Pass pass : axes.passes) {
    for (const MaskForm form : forms_for(axes, pass)) {
      const Choices choices = choices_of(axes, pass, form);
      for (const Target target : axes.targets)
        for (const DataType dtype : choices.dtypes)
          for (const HeadDims& head_dims : choices.head_dims)
            for (const CausalAlignment alignment : choices.alignments)
              for (const bool deterministic : choices.may_be_deterministic ? axes.deterministic : always_repeats)
                for (const std::optional<TileConfig>& config : choices.configs)
                  requests.push_back(
                      {{pass, dtype, head_dims.qk, head_dims.v, form, alignment, target, deterministic}, config});
    }
  }
}

}  // namespace flashmask
