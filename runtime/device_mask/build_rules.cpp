#include "runtime/device_mask/build_rules.h"

#include <fmt/ranges.h>

#include "flashmask/error.h"

namespace flashmask::device_masks {
namespace {

constexpr int kMaxSeqlen = 1 << 29;  // positions and their differences fit 32 bits, as in a launch
constexpr int kMaxBatch = 65535;     // the y extent of a CUDA grid
constexpr std::uint64_t kIntBytes = sizeof(std::int32_t);

}  // namespace

void BuildRules::enforce() const {
  if (broken().empty()) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("no mask can be written:\n  {}", fmt::join(broken(), "\n  ")));
}

bool check_extents(BuildRules& rules, MaskForm form, const Extents& extents) {
  const bool writable = form == MaskForm::kC1 || form == MaskForm::kF2;
  const bool batch_fits = extents.batch >= 1 && extents.batch <= kMaxBatch;
  const bool rows_fit = extents.seqlen_q >= 1 && extents.seqlen_q <= kMaxSeqlen;
  const bool keys_fit = extents.seqlen_k >= 1 && extents.seqlen_k <= kMaxSeqlen;
  rules.require(writable, "form = {}: c1 and f2 are written on the device; mask_builders.h has all forms",
                to_string(form));
  rules.require(batch_fits, "batch = {}: 1 to {} is allowed", extents.batch, kMaxBatch);
  rules.require(rows_fit, "seqlen_q = {}: 1 to {} is allowed", extents.seqlen_q, kMaxSeqlen);
  rules.require(keys_fit, "seqlen_k = {}: 1 to {} is allowed", extents.seqlen_k, kMaxSeqlen);
  return writable && batch_fits && rows_fit && keys_fit;
}

std::size_t mask_bytes(MaskForm form, const Extents& extents) {
  return static_cast<std::size_t>(extents.batch) * static_cast<std::size_t>(extents.seqlen_k) *
         static_cast<std::size_t>(vectors_per_column(form)) * kIntBytes;
}

void check_positions(BuildRules& rules, const Extents& extents) {
  rules.require(extents.seqlen_q <= extents.seqlen_k,
                "seqlen_q = {} with seqlen_k = {}: the queries of this mask are the last positions of the keys, so "
                "that at most {} are allowed",
                extents.seqlen_q, extents.seqlen_k, extents.seqlen_k);
}

std::size_t check_target(BuildRules& rules, MaskForm form, const Extents& extents, const Output& output) {
  const bool measurable = check_extents(rules, form, extents);
  const std::uint64_t alignment = kIntBytes * (form == MaskForm::kF2 ? 2 : 1);  // a column is written at once
  rules.require(output.startend_row_indices != 0, "startend_row_indices is null: device memory is needed");
  rules.require(output.startend_row_indices % alignment == 0,
                "startend_row_indices is at 0x{:x}: form {} needs a multiple of {} bytes", output.startend_row_indices,
                to_string(form), alignment);
  if (!measurable) return 0;
  const std::size_t needed = mask_bytes(form, extents);
  rules.require(output.bytes >= needed,
                "startend_row_indices has {} bytes: batch {} x {} keys of form {} need {}; ask bytes_needed()",
                output.bytes, extents.batch, extents.seqlen_k, to_string(form), needed);
  return needed;
}

void check_source(BuildRules& rules, std::string_view name, DevicePointer source, std::uint64_t bytes,
                  const Output& output, std::uint64_t written) {
  rules.require(source != 0, "{} is null: device memory is needed", name);
  rules.require(source % kIntBytes == 0, "{} is at 0x{:x}: int32 needs a multiple of {} bytes", name, source,
                kIntBytes);
  const DevicePointer into = output.startend_row_indices;
  if (source == 0 || into == 0) return;
  const bool apart = source < into ? into - source >= bytes : source - into >= written;
  rules.require(apart,
                "{} at 0x{:x}, {} bytes, overlaps startend_row_indices at 0x{:x}, {} bytes: it is read while they are "
                "written",
                name, source, bytes, into, written);
}

}  // namespace flashmask::device_masks
