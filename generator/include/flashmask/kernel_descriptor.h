#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"

namespace flashmask {

/// What a kernel computes.
enum class Pass {
  kForward,
  kMaskPlan,   ///< the tiles of a mask, for the other passes; MaskPlan requests it
  kMaskBuild,  ///< the vectors of a mask, written on the device; device_masks requests it
  kBackward,   ///< the gradients of Q, K and V, from that of the output and that of LSE
};

/// Whether the pass computes attention, so that an element type, head dims and tiles have a meaning for it. Those of
/// the masks have none.
FLASHMASK_API bool is_attention(Pass pass);

/// Element type of Q, K, V, the output and all their gradients. Accumulation, softmax and LSE are fp32.
enum class DataType { kFloat16, kBfloat16 };

/// How the mask of a request is held. Column j of a head masks the query rows i that the form names; see the paper,
/// arXiv 2410.01359. Intervals are half-open, clamped to [0, Sq], in any order, and empty where start >= end.
enum class MaskForm {
  kNone,    ///< nothing is masked
  kCausal,  ///< key j is masked for query i when j > i + offset
  kWindow,  ///< key j is seen by query i when i + offset - left <= j <= i + offset + right
  kC1,      ///< causal, and one vector LTS: rows [LTS, Sq)
  kC2,      ///< causal, and two vectors LTS, LTE: rows [LTS, LTE)
  kF2,      ///< two vectors LTS, UTE: rows [LTS, Sq) and [0, UTE)
  kF4,      ///< four vectors LTS, LTE, UTS, UTE: rows [LTS, LTE) and [UTS, UTE)
};

/// Where the diagonal of causal forms and windows lies when Sq != Sk: offset = Sk - Sq (bottom right) or 0 (top left).
enum class CausalAlignment { kBottomRight, kTopLeft };

/// A GPU architecture that code is generated for: "sm_80", "sm_90a", ….
struct Target {
  int compute_capability = 80;  ///< 10 * major + minor
  bool arch_specific = false;   ///< the "a" of sm_90a: instructions of this architecture alone

  friend bool operator==(const Target&, const Target&) = default;
};

/// Everything that changes the code of a kernel, and nothing else. Lengths, batch, heads, strides, scale and the values
/// of a mask are arguments of the launch.
struct KernelDescriptor {
  Pass pass = Pass::kForward;
  DataType dtype = DataType::kBfloat16;
  int head_dim_qk = 128;  ///< of Q and K: a multiple of 8, 8 to 256
  int head_dim_v = 128;   ///< of V and the output: a multiple of 8, 8 to 256
  MaskForm mask_form = MaskForm::kNone;
  CausalAlignment causal_alignment = CausalAlignment::kBottomRight;  ///< must be kBottomRight where it has no meaning
  Target target;
  /// Of a backward: the same launch gives the same bits every time. Otherwise the query gradient is summed up in
  /// whatever order the key tiles come in. A forward always repeats its bits: must be false there.
  bool deterministic = false;

  friend bool operator==(const KernelDescriptor&, const KernelDescriptor&) = default;

  /// The kernels that build plans of masks of this form. They know neither element type nor head dims (0), and tiles
  /// are arguments of their launches.
  static KernelDescriptor mask_plan(MaskForm form, CausalAlignment alignment, Target target) {
    return {Pass::kMaskPlan, DataType::kBfloat16, 0, 0, form, alignment, target, false};
  }
  /// The kernels that write masks of this form, C1 or F2, from cumulative lengths, document ids or a window. They know
  /// neither element type nor head dims (0).
  static KernelDescriptor mask_build(MaskForm form, Target target) {
    return {Pass::kMaskBuild, DataType::kBfloat16, 0, 0, form, CausalAlignment::kBottomRight, target, false};
  }
};

/// Number of int32 values per key column of startend_row_indices: 0, 1, 2 or 4.
FLASHMASK_API int vectors_per_column(MaskForm form);
/// Whether the form masks above the diagonal, and so whether the causal alignment has a meaning (kWindow: yes).
FLASHMASK_API bool has_diagonal(MaskForm form);
/// The form of a startend_row_indices array with `vectors` values per column; empty for an illegal pair.
/// Legal: causal with 1 (C1) or 2 (C2), not causal with 2 (F2) or 4 (F4).
FLASHMASK_API std::optional<MaskForm> mask_form_of(bool causal, int vectors);

/// Every rule that the descriptor breaks, each as a sentence: what was asked, what is allowed, what to do. Empty if
/// legal.
FLASHMASK_API std::vector<std::string> broken_rules(const KernelDescriptor& descriptor);

// Names as the command and the cache write them: "forward", "bf16", "c1", "bottom-right", "sm_90a". The parsers return
// empty for any other text.
FLASHMASK_API std::string_view to_string(Pass pass);
FLASHMASK_API std::string_view to_string(DataType dtype);
FLASHMASK_API std::string_view to_string(MaskForm form);
FLASHMASK_API std::string_view to_string(CausalAlignment alignment);
FLASHMASK_API std::string to_string(Target target);
/// One line, e.g. "forward bf16 d128 c1 bottom-right sm_90a"; "d192/128" where the head dims differ; "backward …
/// deterministic" where that is asked for.
FLASHMASK_API std::string to_string(const KernelDescriptor& descriptor);
FLASHMASK_API std::optional<Pass> parse_pass(std::string_view text);
FLASHMASK_API std::optional<DataType> parse_data_type(std::string_view text);
FLASHMASK_API std::optional<MaskForm> parse_mask_form(std::string_view text);
FLASHMASK_API std::optional<CausalAlignment> parse_causal_alignment(std::string_view text);
/// Only architectures that kernels can be generated for.
FLASHMASK_API std::optional<Target> parse_target(std::string_view text);
/// The names of those architectures, for messages: "sm_80, sm_86, …".
FLASHMASK_API std::string known_targets();

}  // namespace flashmask
