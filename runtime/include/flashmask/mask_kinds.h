#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/mask.h"

namespace flashmask {

/// What the text of a parameter looks like. Lists are separated by commas; "8x128" in a list stands for eight times
/// 128.
enum class MaskParameterType {
  kInteger,   ///< "128"
  kIntegers,  ///< "5,7,4x16"; "" is the empty list
  kSpans,     ///< "0:4,9:12": positions first <= p < end; "" is the empty list
  kGroups,    ///< "6/4/3,5/2": lists of integers, each joined by slashes
  kFlag,      ///< "0" or "1"
  kAlignment  ///< "bottom-right" or "top-left"
};

/// A parameter of a kind of mask. Texts live as long as the program.
struct MaskParameter {
  std::string_view name;  ///< kebab-case: "document-lengths"
  MaskParameterType type = MaskParameterType::kInteger;
  std::string_view summary;        ///< one line
  std::string_view default_value;  ///< used where the parameter is not given; meaningless if required
  bool required = false;
  std::string_view example;  ///< legal together with the kind's example lengths and the other examples
};

/// Parameters by name, as text: what `--param window=128` gives.
using MaskArguments = std::map<std::string, std::string, std::less<>>;

/// A kind of mask that can be built by name; see mask_builders.h for the exact rules. Texts live as long as the
/// program.
struct MaskKind {
  std::string_view name;     ///< kebab-case: "causal-documents"
  std::string_view group;    ///< "paper", "language", "vision", "diffusion" or "permutation"
  std::string_view summary;  ///< one line: which row sees which key
  std::string_view form;     ///< how the builder holds it: "c1", or "c1 or f2" where it depends on the parameters
  bool permuted = false;     ///< tokens are in another order than the model's: the summary says which
  std::vector<MaskParameter> parameters;
  int example_seqlen_q = 0;  ///< small lengths for pictures, with the parameters' examples
  int example_seqlen_k = 0;

  FLASHMASK_API MaskArguments example_arguments() const;
};

/// Every kind, group by group. Thread-safe; lives as long as the program.
FLASHMASK_API const std::vector<MaskKind>& mask_kinds();

/// The kind of that name. Refuses an unknown name with Error{kInvalidArgument} that lists the known ones.
FLASHMASK_API const MaskKind& find_mask_kind(std::string_view name);

/// Builds a mask of that kind: [1, 1, seqlen_q, seqlen_k] (more mask heads where a parameter says so). Thread-safe.
/// Throws Error{kInvalidArgument} for an unknown kind, an unknown, missing or malformed parameter (the text lists the
/// kind's parameters), and for what the builder refuses.
FLASHMASK_API Mask build_mask(std::string_view kind, const MaskArguments& arguments, int seqlen_q, int seqlen_k);

}  // namespace flashmask
