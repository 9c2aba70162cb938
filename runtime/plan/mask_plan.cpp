#include "flashmask/mask_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mutex>
#include <utility>

#include "flashmask/error.h"
#include "flashmask/runtime.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/plan_kernels.h"

namespace flashmask {
namespace {

void require_legal(const MaskShape& mask, TileShape tile) {
  const std::vector<std::string> rules = broken_plan_rules(mask, tile);
  if (rules.empty()) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("no plan can be made:\n  {}", fmt::join(rules, "\n  ")));
}

/// Stands in where only the mask is judged.
constexpr TileShape kAnyTile{128, 128};

}  // namespace

struct MaskPlan::State {
  struct Prepared {
    PlanView view;
    DeviceBuffer buffer;
  };

  std::shared_ptr<const PlanKernels> kernels;
  MaskShape mask;
  DevicePointer startend_row_indices;
  std::mutex mutex;
  std::vector<Prepared> prepared;
};

std::size_t MaskPlan::size(const MaskShape& mask, TileShape tile) {
  require_legal(mask, tile);
  return plan_layout(mask, tile).bytes;
}

MaskPlan::MaskPlan(Runtime& runtime, const MaskShape& mask, DevicePointer startend_row_indices,
                   std::optional<Stream> stream)
    : state_(std::make_unique<State>()) {
  require_legal(mask, kAnyTile);
  if (startend_row_indices == 0 || startend_row_indices % sizeof(std::int32_t) != 0)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("startend_row_indices is at 0x{:x}: int32 device memory is needed", startend_row_indices));
  state_->mask = mask;
  state_->startend_row_indices = startend_row_indices;
  state_->kernels = runtime.plan_kernels(mask.form, mask.causal_alignment, stream);
}

MaskPlan::~MaskPlan() = default;

const MaskShape& MaskPlan::mask() const {
  return state_->mask;
}

PlanView MaskPlan::build(TileShape tile, DevicePointer buffer, std::size_t bytes, Stream stream) const {
  const std::size_t needed = size(state_->mask, tile);
  if (bytes < needed)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the plan's buffer has {} bytes: {} x {} queries and keys in tiles of {} x {}, {} mask "
                            "heads, need {}",
                            bytes, state_->mask.seqlen_q, state_->mask.seqlen_k, tile.tile_q, tile.tile_k,
                            state_->mask.batch * state_->mask.num_heads, needed),
                "Ask MaskPlan::size().");
  if (buffer == 0 || buffer % 16 != 0)
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the plan's buffer is at 0x{:x}: device memory at a multiple of 16 bytes is needed", buffer));
  state_->kernels->launch(state_->mask, tile, state_->startend_row_indices, buffer, stream);
  return {.data = buffer, .bytes = needed, .mask = state_->mask, .tile = tile};
}

PlanView MaskPlan::prepare(TileShape tile, Stream stream) {
  std::lock_guard lock(state_->mutex);
  for (const State::Prepared& prepared : state_->prepared)
    if (prepared.view.tile == tile) return prepared.view;
  if (state_->kernels->device().is_capturing(stream))
    throw Error(ErrorCode::kCapturing,
                fmt::format("a plan for tiles of {} x {} has no memory yet, and its stream is being captured",
                            tile.tile_q, tile.tile_k),
                "Prepare it once before the capture begins, or build() it into memory of your own.");
  DeviceBuffer buffer(state_->kernels->shared_device(), size(state_->mask, tile));
  const PlanView view = build(tile, buffer.get(), buffer.bytes(), stream);
  state_->prepared.push_back({view, std::move(buffer)});
  return view;
}

PlanCounts MaskPlan::analyse(TileShape tile, Stream stream) {
  return count_tiles(state_->kernels->device(), prepare(tile, stream), stream);
}

}  // namespace flashmask
