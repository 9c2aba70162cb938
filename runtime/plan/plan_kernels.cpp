#include "runtime/plan/plan_kernels.h"

#include <span>
#include <type_traits>
#include <utility>

#include "runtime/plan/layout.h"
#include "templates/mask_plan_arguments.cuh"

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<mask_plan::Arguments>, "the device reads the bytes of the struct");

template <typename Element>
Element* pointer(DevicePointer address) {
  return reinterpret_cast<Element*>(static_cast<std::uintptr_t>(address));
}

}  // namespace

PlanKernels::PlanKernels(std::shared_ptr<Device> device, const generator::KernelSource& source,
                         const StoredKernel& stored)
    : device_(std::move(device)),
      threads_(static_cast<std::uint32_t>(source.threads)),
      classify_(device_->load(stored.image, source.entries.at(0), 0)),
      arrange_(device_->load(stored.image, source.entries.at(1), 0)) {}

void PlanKernels::launch(const MaskShape& mask, TileShape tile, DevicePointer startend_row_indices,
                         DevicePointer buffer, Stream stream) const {
  const PlanLayout layout = plan_layout(mask, tile);
  const mask_plan::Arguments arguments{
      .row_intervals = pointer<const int>(startend_row_indices),
      .row_classes = pointer<mask_plan::TileWord>(buffer + layout.row_classes),
      .key_classes = pointer<mask_plan::TileWord>(buffer + layout.key_classes),
      .row_summaries = pointer<mask_plan::Summary>(buffer + layout.row_summaries),
      .key_summaries = pointer<mask_plan::Summary>(buffer + layout.key_summaries),
      .row_work = pointer<mask_plan::Work>(buffer + layout.row_work),
      .key_work = pointer<mask_plan::Work>(buffer + layout.key_work),
      .arrivals = pointer<unsigned>(buffer + layout.arrivals),
      .seqlen_q = mask.seqlen_q,
      .seqlen_k = mask.seqlen_k,
      .tile_q = tile.tile_q,
      .tile_k = tile.tile_k,
      .row_tiles = static_cast<int>(layout.row_tiles),
      .key_tiles = static_cast<int>(layout.key_tiles),
  };
  const auto parameter = std::as_bytes(std::span(&arguments, 1));
  const auto mask_heads = static_cast<std::uint32_t>(layout.mask_heads);
  device_->launch(*classify_,
                  {.grid = {static_cast<std::uint32_t>(layout.key_tiles), mask_heads, 1}, .block = threads_}, parameter,
                  stream);
  device_->launch(*arrange_,
                  {.grid = {static_cast<std::uint32_t>(layout.row_words) + 1, mask_heads, 1}, .block = threads_},
                  parameter, stream);
}

}  // namespace flashmask
