#include "flashmask/device_masks.h"

#include <algorithm>
#include <cstdint>

#include "flashmask/error.h"
#include "flashmask/runtime.h"
#include "runtime/device_mask/build_kernels.h"
#include "runtime/device_mask/build_rules.h"

namespace flashmask::device_masks {
namespace {

constexpr int kMaxDocuments = 1 << 29;

template <typename Element>
Element* pointer(DevicePointer address) {
  return reinterpret_cast<Element*>(static_cast<std::uintptr_t>(address));
}

mask_build::Arguments arguments_of(const Extents& extents, const Output& output, DevicePointer source = 0) {
  mask_build::Arguments arguments{};
  arguments.source = pointer<const int>(source);
  arguments.row_intervals = pointer<int>(output.startend_row_indices);
  arguments.seqlen_q = extents.seqlen_q;
  arguments.seqlen_k = extents.seqlen_k;
  return arguments;
}

MaskShape shape_of(MaskForm form, const Extents& extents) {
  return {.form = form, .batch = extents.batch, .seqlen_q = extents.seqlen_q, .seqlen_k = extents.seqlen_k};
}

/// Of int32 [batch, count]; 0 for extents that are refused.
std::uint64_t bytes_of(int batch, std::int64_t count) {
  if (batch < 1 || count < 1) return 0;
  return static_cast<std::uint64_t>(batch) * static_cast<std::uint64_t>(count) * sizeof(std::int32_t);
}

MaskShape from_sums(Runtime& runtime, MaskForm form, const Extents& extents, const CumulativeLengths& lengths,
                    const Output& output, Stream stream) {
  BuildRules rules;
  const std::size_t written = check_target(rules, form, extents, output);
  check_positions(rules, extents);
  const bool countable = lengths.documents >= 1 && lengths.documents <= kMaxDocuments;
  rules.require(countable, "documents = {}: 1 to {} is allowed", lengths.documents, kMaxDocuments);
  const std::int64_t sums = countable ? std::int64_t{lengths.documents} + 1 : 0;
  check_source(rules, "sums", lengths.sums, bytes_of(extents.batch, sums), output, written);
  rules.enforce();
  mask_build::Arguments arguments = arguments_of(extents, output, lengths.sums);
  arguments.sums = static_cast<int>(sums);
  BuildKernels::of(runtime, form, stream)->write_from_sums(arguments, extents.batch, stream);
  return shape_of(form, extents);
}

MaskShape from_ids(Runtime& runtime, MaskForm form, const Extents& extents, const DocumentIds& ids,
                   const Output& output, Stream stream) {
  BuildRules rules;
  const std::size_t written = check_target(rules, form, extents, output);
  check_positions(rules, extents);
  check_source(rules, "ids", ids.ids, bytes_of(extents.batch, extents.seqlen_k), output, written);
  rules.enforce();
  BuildKernels::of(runtime, form, stream)
      ->write_from_ids(arguments_of(extents, output, ids.ids), extents.batch, stream);
  return shape_of(form, extents);
}

/// A shift of key positions that leads to the same rows, once they are cut off, as the given one, and whose sum with a
/// position fits 32 bits.
int shift_of(std::int64_t shift, const Extents& extents) {
  return static_cast<int>(std::clamp<std::int64_t>(shift, -extents.seqlen_k, extents.seqlen_q));
}

std::int64_t offset_of(CausalAlignment alignment, const Extents& extents) {
  return alignment == CausalAlignment::kBottomRight ? std::int64_t{extents.seqlen_k} - extents.seqlen_q : 0;
}

}  // namespace

std::size_t bytes_needed(MaskForm form, const Extents& extents) {
  BuildRules rules;
  check_extents(rules, form, extents);
  rules.enforce();
  return mask_bytes(form, extents);
}

void load(Runtime& runtime, MaskForm form) {
  BuildKernels::of(runtime, form);
}

MaskShape causal_documents(Runtime& runtime, const Extents& extents, const CumulativeLengths& lengths,
                           const Output& output, Stream stream) {
  return from_sums(runtime, MaskForm::kC1, extents, lengths, output, stream);
}

MaskShape causal_documents(Runtime& runtime, const Extents& extents, const DocumentIds& ids, const Output& output,
                           Stream stream) {
  return from_ids(runtime, MaskForm::kC1, extents, ids, output, stream);
}

MaskShape documents(Runtime& runtime, const Extents& extents, const CumulativeLengths& lengths, const Output& output,
                    Stream stream) {
  return from_sums(runtime, MaskForm::kF2, extents, lengths, output, stream);
}

MaskShape documents(Runtime& runtime, const Extents& extents, const DocumentIds& ids, const Output& output,
                    Stream stream) {
  return from_ids(runtime, MaskForm::kF2, extents, ids, output, stream);
}

MaskShape sliding_window(Runtime& runtime, const Extents& extents, int window, const Output& output, Stream stream) {
  BuildRules rules;
  check_target(rules, MaskForm::kC1, extents, output);
  rules.require(window >= 1, "window = {}: at least 1 is needed", window);
  rules.enforce();
  mask_build::Arguments arguments = arguments_of(extents, output);
  arguments.lts_shift = shift_of(window - offset_of(CausalAlignment::kBottomRight, extents), extents);
  BuildKernels::of(runtime, MaskForm::kC1, stream)->write_window(arguments, extents.batch, stream);
  return shape_of(MaskForm::kC1, extents);
}

MaskShape window_as_intervals(Runtime& runtime, const Extents& extents, int left, int right, CausalAlignment alignment,
                              const Output& output, Stream stream) {
  BuildRules rules;
  check_target(rules, MaskForm::kF2, extents, output);
  rules.require(left >= -1, "left = {}: -1 (no bound) or at least 0 is allowed", left);
  rules.require(right >= -1, "right = {}: -1 (no bound) or at least 0 is allowed", right);
  rules.enforce();
  const std::int64_t offset = offset_of(alignment, extents);
  mask_build::Arguments arguments = arguments_of(extents, output);
  arguments.lts_shift = left < 0 ? extents.seqlen_q : shift_of(std::int64_t{left} + 1 - offset, extents);
  arguments.ute_shift = right < 0 ? -extents.seqlen_k : shift_of(-std::int64_t{right} - offset, extents);
  BuildKernels::of(runtime, MaskForm::kF2, stream)->write_window(arguments, extents.batch, stream);
  return shape_of(MaskForm::kF2, extents);
}

}  // namespace flashmask::device_masks
