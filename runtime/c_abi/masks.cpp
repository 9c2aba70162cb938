#include "flashmask/device_masks.h"
#include "runtime/c_abi/boundary.h"
#include "runtime/c_abi/handles.h"

namespace flashmask::c_abi {
namespace {

fm_mask_shape default_mask_shape() {
  fm_mask_shape mask{};
  mask.struct_size = sizeof mask;
  mask.batch = 1;
  mask.num_heads = 1;
  mask.window_left = -1;
  mask.window_right = -1;
  return mask;
}

MaskShape mask_of(const fm_mask_shape* given) {
  const fm_mask_shape mask = taken(given, default_mask_shape(), "fm_mask_shape");
  return {.form = enumerator<MaskForm>(mask.form, FM_MASK_F4, "form"),
          .causal_alignment = enumerator<CausalAlignment>(mask.causal_alignment, FM_TOP_LEFT, "causal_alignment"),
          .batch = mask.batch,
          .num_heads = mask.num_heads,
          .seqlen_q = mask.seqlen_q,
          .seqlen_k = mask.seqlen_k,
          .window_left = mask.window_left,
          .window_right = mask.window_right};
}

/// The extents of a mask that is written on the device, whose shape says nothing that would not be so.
device_masks::Extents written_extents_of(const MaskShape& mask) {
  if (!(mask ==
        MaskShape{.form = mask.form, .batch = mask.batch, .seqlen_q = mask.seqlen_q, .seqlen_k = mask.seqlen_k}))
    refuse(fmt::format("the mask has num_heads = {}, {}, windows ({}, {}): one head, bottom-right and (-1, -1) is what "
                       "is written",
                       mask.num_heads, to_string(mask.causal_alignment), mask.window_left, mask.window_right),
           "Begin with fm_init_mask_shape().");
  return {mask.batch, mask.seqlen_q, mask.seqlen_k};
}

void check_form(const MaskShape& mask, MaskForm needed) {
  if (mask.form != needed)
    refuse(fmt::format("the mask has form {}: this one is {}", to_string(mask.form), to_string(needed)));
}

/// Documents from lengths or ids, causal or not as the form says.
template <typename Source>
void write_documents(Runtime& runtime, const MaskShape& mask, const Source& source, const device_masks::Output& output,
                     void* stream) {
  const device_masks::Extents extents = written_extents_of(mask);
  if (mask.form == MaskForm::kC1) {
    device_masks::causal_documents(runtime, extents, source, output, stream);
  } else {
    check_form(mask, MaskForm::kF2);
    device_masks::documents(runtime, extents, source, output, stream);
  }
}

}  // namespace
}  // namespace flashmask::c_abi

using namespace flashmask::c_abi;

extern "C" {

fm_status fm_init_mask_shape(fm_mask_shape* mask, size_t struct_size) {
  return guarded([&] { initialise(mask, struct_size, default_mask_shape(), "fm_mask_shape"); });
}

fm_status fm_plan_size(const fm_mask_shape* mask, int tile_q, int tile_k, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    into = flashmask::MaskPlan::size(mask_of(mask), {tile_q, tile_k});
  });
}

fm_status fm_plan_build(fm_runtime* runtime, const fm_mask_shape* mask, int tile_q, int tile_k,
                        uint64_t startend_row_indices, uint64_t plan, size_t bytes, void* stream) {
  return guarded([&] {
    const flashmask::MaskPlan builder(*needed(runtime, "runtime").runtime, mask_of(mask), startend_row_indices, stream);
    builder.build({tile_q, tile_k}, plan, bytes, stream);
  });
}

fm_status fm_plan_analyse(fm_runtime* runtime, const fm_mask_shape* mask, int tile_q, int tile_k, uint64_t plan,
                          size_t bytes, void* stream, fm_plan_summary* summary) {
  return guarded([&] {
    const auto& device = needed(runtime, "runtime").runtime->device();
    if (!device) refuse("this runtime has no device");
    const flashmask::PlanCounts counts =
        flashmask::count_tiles(*device, {plan, bytes, mask_of(mask), {tile_q, tile_k}}, stream);
    give(summary,
         fm_plan_summary{.struct_size = sizeof(fm_plan_summary),
                         .full_tiles = counts.full,
                         .partial_tiles = counts.partial,
                         .empty_tiles = counts.empty},
         "fm_plan_summary");
  });
}

fm_status fm_mask_bytes(const fm_mask_shape* mask, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    const flashmask::MaskShape shape = mask_of(mask);
    into = flashmask::device_masks::bytes_needed(shape.form, written_extents_of(shape));
  });
}

fm_status fm_mask_documents(fm_runtime* runtime, const fm_mask_shape* mask, uint64_t cumulative_lengths, int documents,
                            uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    write_documents(*needed(runtime, "runtime").runtime, mask_of(mask),
                    flashmask::device_masks::CumulativeLengths{cumulative_lengths, documents},
                    {startend_row_indices, bytes}, stream);
  });
}

fm_status fm_mask_documents_by_ids(fm_runtime* runtime, const fm_mask_shape* mask, uint64_t document_ids,
                                   uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    write_documents(*needed(runtime, "runtime").runtime, mask_of(mask),
                    flashmask::device_masks::DocumentIds{document_ids}, {startend_row_indices, bytes}, stream);
  });
}

fm_status fm_mask_sliding_window(fm_runtime* runtime, const fm_mask_shape* mask, int window,
                                 uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    const flashmask::MaskShape shape = mask_of(mask);
    check_form(shape, flashmask::MaskForm::kC1);
    flashmask::device_masks::sliding_window(*needed(runtime, "runtime").runtime, written_extents_of(shape), window,
                                            {startend_row_indices, bytes}, stream);
  });
}

fm_status fm_mask_window_as_intervals(fm_runtime* runtime, const fm_mask_shape* mask, int left, int right,
                                      int causal_alignment, uint64_t startend_row_indices, size_t bytes, void* stream) {
  return guarded([&] {
    const flashmask::MaskShape shape = mask_of(mask);
    check_form(shape, flashmask::MaskForm::kF2);
    flashmask::device_masks::window_as_intervals(
        *needed(runtime, "runtime").runtime, written_extents_of(shape), left, right,
        enumerator<flashmask::CausalAlignment>(causal_alignment, FM_TOP_LEFT, "causal_alignment"),
        {startend_row_indices, bytes}, stream);
  });
}

}  // extern "C"
