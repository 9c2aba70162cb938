#include "tools/command/tune_problems.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "flashmask/error.h"
#include "flashmask/manifest.h"
#include "tools/command/mask_source.h"
#include "tools/command/tile_choice.h"

namespace flashmask::command {
namespace {

std::vector<KernelDescriptor> named_descriptors(const TuneRunArguments& arguments, const Target& target) {
  std::vector<KernelDescriptor> descriptors;
  for (const Pass pass : arguments.passes)
    for (const DataType dtype : arguments.dtypes)
      for (const auto& [head_dim_qk, head_dim_v] : arguments.head_dims)
        for (const MaskForm form : arguments.forms) {
          const CausalAlignment alignment =
              has_diagonal(form) ? arguments.causal_alignment : CausalAlignment::kBottomRight;
          descriptors.push_back({pass, dtype, head_dim_qk, head_dim_v, form, alignment, target,
                                 arguments.deterministic && pass == Pass::kBackward});
        }
  return descriptors;
}

/// What a manifest lists for this target; kernels of masks have nothing to tune.
std::vector<KernelDescriptor> listed_descriptors(const std::string& manifest, const Target& target) {
  std::vector<KernelDescriptor> descriptors;
  for (const KernelRequest& request : read_manifest(manifest).requests)
    if (is_attention(request.descriptor.pass) && request.descriptor.target == target &&
        std::ranges::find(descriptors, request.descriptor) == descriptors.end())
      descriptors.push_back(request.descriptor);
  if (descriptors.empty())
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: it lists no forward and no backward for {}", manifest, to_string(target)),
                "name a manifest of this device's target");
  return descriptors;
}

bool holds_one_density(MaskForm form) {
  return form == MaskForm::kNone || form == MaskForm::kCausal;
}

}  // namespace

std::vector<TuningProblem> tune_problems(const TuneRunArguments& arguments, const Target& target) {
  const std::vector<KernelDescriptor> descriptors = arguments.manifest.empty()
                                                        ? named_descriptors(arguments, target)
                                                        : listed_descriptors(arguments.manifest, target);
  std::vector<TuningProblem> problems;
  for (const KernelDescriptor& descriptor : descriptors) {
    require_supported(descriptor);
    for (const auto& [seqlen_q, seqlen_k] : arguments.seqlens) {
      TuningProblem shape{.descriptor = descriptor,
                          .batch = arguments.batch,
                          .num_heads_q = arguments.num_heads_q,
                          .num_heads_kv = arguments.num_heads_kv,
                          .seqlen_q = seqlen_q,
                          .seqlen_k = seqlen_k,
                          .mask_kind = arguments.mask_kind,
                          .mask_arguments = parse_mask_parameters(arguments.mask_parameters)};
      if (!arguments.mask_kind.empty())
        problems.push_back(shape);
      else if (holds_one_density(descriptor.mask_form))
        problems.push_back(representative_problem(shape, DensityClass::kUnknown));
      else
        for (const DensityClass density : arguments.densities)
          problems.push_back(representative_problem(shape, density));
    }
  }
  for (const TuningProblem& problem : problems)
    if (const std::vector<std::string> rules = broken_rules(problem); !rules.empty())
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}; {}: {}", to_string(problem.descriptor), to_string(problem), fmt::join(rules, "; ")));
  return problems;
}

}  // namespace flashmask::command
