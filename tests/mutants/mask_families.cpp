#include <span>

#include "flashmask/device_masks.h"
#include "flashmask/mask_builders.h"
#include "tests/mutants/families.h"

namespace flashmask::mutants {
namespace {

Bytes plan_of(Runtime& runtime, const Mask& mask, TileShape tile) {
  DeviceBuffer indices(runtime.device(), mask.startend_row_indices().size_bytes());
  runtime.device()->copy_to_device(indices.get(), std::as_bytes(mask.startend_row_indices()), nullptr);
  MaskPlan plan(runtime, mask.shape(), indices.get());
  const PlanContent content = MaskPlan::read(*runtime.device(), plan.prepare(tile));
  Bytes bytes;
  append(bytes, content.row_classes);
  append(bytes, content.key_classes);
  append(bytes, content.row_order);
  append(bytes, content.key_order);
  return bytes;
}

}  // namespace

Family plan_family() {
  Family family;
  family.name = "Plan";
  family.entries = "flashmask_mask_plan";
  const std::vector<int> equal(72, 64);
  family.scenarios = {
      // Row tiles for all warps of a CTA, and key tiles that take several turns of it.
      [](Runtime& runtime) {
        return plan_of(runtime, masks::causal_documents({4500, 4500}, {700, 1, 900, 300, 399, 2200}), {16, 16});
      },
      // Tiles of equal cost in every warp, whose places all warps take from one counter.
      [equal](Runtime& runtime) { return plan_of(runtime, masks::causal_documents({4608, 4608}, equal), {16, 16}); },
      [equal](Runtime& runtime) { return plan_of(runtime, masks::documents({4608, 4608}, equal), {16, 16}); },
      // More row tiles than are counted at once.
      [](Runtime& runtime) {
        const MaskShape shape{.form = MaskForm::kF2, .seqlen_q = 33500, .seqlen_k = 40};
        std::vector<std::int32_t> bounds;
        for (int key = 0; key < shape.seqlen_k; ++key) bounds.insert(bounds.end(), {20000 + 300 * key, 90 * key});
        return plan_of(runtime, Mask(shape, bounds), {16, 16});
      },
      [](Runtime& runtime) { return plan_of(runtime, masks::documents({130, 130}, {50, 30, 50}), {32, 16}); },
  };
  return family;
}

namespace {

template <class Source>
Bytes written_mask(Runtime& runtime, bool causal, const device_masks::Extents& extents, const Source& source) {
  const MaskForm form = causal ? MaskForm::kC1 : MaskForm::kF2;
  const std::size_t size = device_masks::bytes_needed(form, extents);
  DeviceBuffer output(runtime.device(), size);
  if (causal) {
    device_masks::causal_documents(runtime, extents, source, {output.get(), size});
  } else {
    device_masks::documents(runtime, extents, source, {output.get(), size});
  }
  Bytes bytes(size);
  runtime.device()->copy_to_host(bytes, output.get(), nullptr);
  return bytes;
}

}  // namespace

Scenario mask_by_ids(bool causal, std::vector<std::int32_t> ids) {
  return [=](Runtime& runtime) {
    DeviceBuffer source(runtime.device(), ids.size() * sizeof(std::int32_t));
    runtime.device()->copy_to_device(source.get(), std::as_bytes(std::span(ids)), nullptr);
    const auto seqlen = static_cast<int>(ids.size());
    return written_mask(runtime, causal, {.batch = 1, .seqlen_q = seqlen, .seqlen_k = seqlen},
                        device_masks::DocumentIds{source.get()});
  };
}

namespace {

Scenario mask_by_lengths(bool causal, std::vector<std::int32_t> sums) {
  return [=](Runtime& runtime) {
    DeviceBuffer source(runtime.device(), sums.size() * sizeof(std::int32_t));
    runtime.device()->copy_to_device(source.get(), std::as_bytes(std::span(sums)), nullptr);
    return written_mask(runtime, causal, {.batch = 1, .seqlen_q = sums.back(), .seqlen_k = sums.back()},
                        device_masks::CumulativeLengths{source.get(), static_cast<int>(sums.size()) - 1});
  };
}

}  // namespace

Family mask_family() {
  std::vector<std::int32_t> ids;
  for (int document = 0; document < 40; ++document)
    ids.insert(ids.end(), static_cast<std::size_t>(7 + 5 * document), document);
  Family family;
  family.name = "MaskWriters";
  family.entries = "flashmask_mask_build";
  family.scenarios = {
      mask_by_ids(true, ids),
      mask_by_ids(false, ids),
      mask_by_lengths(true, {0, 700, 701, 1600, 2300}),
      mask_by_lengths(false, {0, 700, 701, 1600, 2300}),
  };
  return family;
}

}  // namespace flashmask::mutants
