#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "flashmask/manifest.h"

namespace flashmask {

// The keys of a [[kernels]] table.
inline constexpr std::string_view kPassKey = "pass";
inline constexpr std::string_view kDtypeKey = "dtype";
inline constexpr std::string_view kHeadDimKey = "head_dim";
inline constexpr std::string_view kFormKey = "form";
inline constexpr std::string_view kAlignmentKey = "alignment";
inline constexpr std::string_view kDeterministicKey = "deterministic";
inline constexpr std::string_view kTargetKey = "target";
inline constexpr std::string_view kConfigKey = "config";

/// "all": every form that the pass has.
inline constexpr std::string_view kAllForms = "all";
/// The word for no configuration in particular.
inline constexpr std::string_view kDefaultConfig = "default";

struct HeadDims {
  int qk = 0;
  int v = 0;
  friend auto operator<=>(const HeadDims&, const HeadDims&) = default;
};

/// The values of one table, none of them twice: it stands for every combination.
struct KernelAxes {
  std::vector<Pass> passes;
  std::vector<DataType> dtypes;
  std::vector<HeadDims> head_dims;
  std::vector<MaskForm> forms;
  bool all_forms = false;  ///< instead of `forms`
  std::vector<CausalAlignment> alignments;
  std::vector<bool> deterministic;
  std::vector<Target> targets;
  std::vector<std::optional<TileConfig>> configs;
};

/// The forms that a pass has kernels for.
std::span<const MaskForm> forms_of(Pass pass);
/// Whether kernels of the pass differ by the alignment for this form.
bool has_alignment(Pass pass, MaskForm form);

/// How many kernels expand() would add; a few values of this many times cannot overflow it.
std::size_t count(const KernelAxes& axes);
/// Adds every combination. What has no meaning for a pass or a form does not multiply: a forward is not deterministic,
/// a form without a diagonal has no alignment, and kernels of masks know neither element type, head dims nor tiles.
void expand(const KernelAxes& axes, std::vector<KernelRequest>& requests);

}  // namespace flashmask
