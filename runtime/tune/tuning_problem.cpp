#include "flashmask/tuning_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "flashmask/error.h"
#include "flashmask/mask_tiles.h"

namespace flashmask {
namespace {

/// How many documents of equal length a mask needs to have a density in the middle of the class; a causal mask has half
/// of it.
int documents_for(DensityClass density, bool is_causal) {
  switch (density) {
    case DensityClass::kSparse:
      return is_causal ? 16 : 32;
    case DensityClass::kLight:
      return is_causal ? 4 : 8;
    case DensityClass::kMedium:
      return is_causal ? 1 : 2;
    case DensityClass::kDense:
    case DensityClass::kUnknown:
      return 1;
  }
  return 1;
}

std::string equal_lengths(int seqlen, int documents) {
  std::string lengths;
  for (int n = 0; n < documents; ++n) {
    const int first = static_cast<int>(std::int64_t{seqlen} * n / documents);
    const int end = static_cast<int>(std::int64_t{seqlen} * (n + 1) / documents);
    lengths += fmt::format("{}{}", n == 0 ? "" : ",", end - first);
  }
  return lengths;
}

/// Keys of a causal window that leaves the middle of the class.
int window_for(DensityClass density, int seqlen_k) {
  switch (density) {
    case DensityClass::kSparse:
      return std::max(1, seqlen_k / 32);
    case DensityClass::kLight:
      return std::max(1, seqlen_k / 8);
    case DensityClass::kMedium:
      return std::max(1, seqlen_k / 2);
    case DensityClass::kDense:
    case DensityClass::kUnknown:
      return seqlen_k;
  }
  return seqlen_k;
}

}  // namespace

std::vector<std::string> broken_rules(const TuningProblem& problem) {
  std::vector<std::string> rules = broken_rules(problem.descriptor);
  if (rules.empty() && !is_attention(problem.descriptor.pass))
    rules.push_back(fmt::format("{}: kernels of masks have no tiles to tune", to_string(problem.descriptor)));
  const auto at_least_one = [&](const char* name, int value) {
    if (value < 1) rules.push_back(fmt::format("{} = {}: at least 1 is needed", name, value));
  };
  at_least_one("batch", problem.batch);
  at_least_one("num_heads_q", problem.num_heads_q);
  at_least_one("num_heads_kv", problem.num_heads_kv);
  at_least_one("seqlen_q", problem.seqlen_q);
  at_least_one("seqlen_k", problem.seqlen_k);
  if (problem.num_heads_kv >= 1 && problem.num_heads_q % problem.num_heads_kv != 0)
    rules.push_back(fmt::format("num_heads_q = {}: a multiple of num_heads_kv = {} is needed", problem.num_heads_q,
                                problem.num_heads_kv));
  if (!rules.empty()) return rules;
  try {
    mask_of(problem);
  } catch (const Error& error) {
    rules.emplace_back(error.what());
  }
  return rules;
}

Mask mask_of(const TuningProblem& problem) {
  const Mask built = build_mask(problem.mask_kind, problem.mask_arguments, problem.seqlen_q, problem.seqlen_k);
  const Mask held = built.shape().form == problem.descriptor.mask_form &&
                            built.shape().causal_alignment == problem.descriptor.causal_alignment
                        ? built
                        : built.held_as(problem.descriptor.mask_form, problem.descriptor.causal_alignment);
  if (held.shape().num_heads == 1) return held;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the mask {} has {} heads: problems of tuning have one mask for all heads", problem.mask_kind,
                          held.shape().num_heads));
}

ProblemHint hint_of(const TuningProblem& problem) {
  // The classes are coarse: tiles of this size tell them as well as any, and quickly.
  constexpr TileShape kTile{128, 128};
  const std::int64_t heads = std::int64_t{problem.batch} * problem.num_heads_q;
  return {.seqlen_q = problem.seqlen_q,
          .seqlen_k = problem.seqlen_k,
          .heads = static_cast<int>(std::min<std::int64_t>(heads, std::numeric_limits<int>::max())),
          .density = classify_tiles(mask_of(problem), kTile).density()};
}

std::string to_string(const TuningProblem& problem) {
  std::string text = fmt::format("batch {}, {} heads", problem.batch, problem.num_heads_q);
  if (problem.num_heads_kv != problem.num_heads_q) text += fmt::format(" of {}", problem.num_heads_kv);
  text += fmt::format(", {}x{}, {}", problem.seqlen_q, problem.seqlen_k, problem.mask_kind);
  for (const auto& [name, value] : problem.mask_arguments) text += fmt::format(" {}={}", name, value);
  return text;
}

TuningProblem representative_problem(TuningProblem shape, DensityClass density) {
  const KernelDescriptor& descriptor = shape.descriptor;
  const bool is_top_left = descriptor.causal_alignment == CausalAlignment::kTopLeft;
  shape.mask_arguments.clear();
  switch (descriptor.mask_form) {
    case MaskForm::kNone:
      shape.mask_kind = "full";
      return shape;
    case MaskForm::kCausal:
      shape.mask_kind = "causal";
      break;
    case MaskForm::kWindow:
      shape.mask_kind = "window";
      shape.mask_arguments["left"] = std::to_string(window_for(density, shape.seqlen_k));
      shape.mask_arguments["right"] = density == DensityClass::kDense ? "-1" : "0";
      break;
    case MaskForm::kC1:
    case MaskForm::kC2:
      shape.mask_kind = "causal-documents";
      shape.mask_arguments["document-lengths"] = equal_lengths(shape.seqlen_k, documents_for(density, true));
      return shape;
    case MaskForm::kF2:
    case MaskForm::kF4:
      shape.mask_kind = "documents";
      shape.mask_arguments["document-lengths"] = equal_lengths(shape.seqlen_k, documents_for(density, false));
      return shape;
  }
  if (is_top_left) shape.mask_arguments["causal-alignment"] = "top-left";
  return shape;
}

}  // namespace flashmask
