#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flashmask/device.h"
#include "flashmask/export.h"
#include "flashmask/mask_shape.h"

namespace flashmask {

class Runtime;

/// A plan that lies in device memory, for one tile shape. A launch takes it by value; 0: no plan.
struct PlanView {
  DevicePointer data = 0;
  std::size_t bytes = 0;
  MaskShape mask{};  ///< of the mask that it was built of
  TileShape tile{};
};

/// How many tiles of a plan, over all batch entries and mask heads, are of which class.
struct PlanCounts {
  std::uint64_t full = 0;
  std::uint64_t partial = 0;
  std::uint64_t empty = 0;

  std::uint64_t all() const { return full + partial + empty; }
  /// Share of the tiles that a kernel visits.
  double density() const { return all() == 0 ? 0 : static_cast<double>(full + partial) / static_cast<double>(all()); }
};

/// A plan on the host, as analyse() and the tests read it.
struct PlanContent {
  int row_tiles = 0;
  int key_tiles = 0;
  std::vector<TileClass> row_classes;      ///< [batch, num_heads, row_tiles, key_tiles], from the bits by rows
  std::vector<TileClass> key_classes;      ///< the same, from the bits by keys
  std::vector<TileSummary> row_summaries;  ///< [batch, num_heads, row_tiles]
  std::vector<TileSummary> key_summaries;  ///< [batch, num_heads, key_tiles]
  std::vector<int> row_order;              ///< [batch, num_heads, row_tiles]: tiles, longest work first
  std::vector<int> key_order;              ///< [batch, num_heads, key_tiles]
};

/// Which tiles of a mask are empty, partial or full, exactly, in device memory: built once by two small launches, then
/// used by every layer and pass whose kernels have that tile shape. Closed forms (none, causal, window) need no plan
/// and are refused. Thread-safe.
class FLASHMASK_API MaskPlan {
 public:
  /// Bytes of device memory that a plan takes: for every mask head of the batch two bits per tile, twice, and 32 bytes
  /// per row and per column of tiles. Throws Error{kInvalidArgument}, naming every broken rule.
  static std::size_t size(const MaskShape& mask, TileShape tile);

  /// Requests the plan's kernels (they may be compiled now). `startend_row_indices` is int32 device memory [batch,
  /// num_heads, seqlen_k, vectors], contiguous; the caller's. It is read by launches of prepare() and must not change
  /// between them. The runtime must live as long as the plan is prepared. `stream`: where the plan will be built; while
  /// that stream is captured, kernels that would have to be compiled or loaded are Error{kCapturing}, as for
  /// RequestOptions::stream. Throws what size() and Runtime::request() throw.
  MaskPlan(Runtime& runtime, const MaskShape& mask, DevicePointer startend_row_indices,
           std::optional<Stream> stream = std::nullopt);
  ~MaskPlan();
  MaskPlan(const MaskPlan&) = delete;
  MaskPlan& operator=(const MaskPlan&) = delete;

  /// The plan for this tile shape. The first call allocates its memory and enqueues its building; later ones return
  /// what is there. Launches that use the view must be ordered after that, as on the same stream. The memory lives as
  /// long as this object. A first call on a stream that is captured is Error{kCapturing}: nothing can be allocated
  /// then.
  PlanView prepare(TileShape tile, Stream stream = nullptr);
  /// Enqueues the building into the caller's memory, 16-byte aligned; allocates nothing, so it may be captured in a
  /// graph. Throws Error{kInvalidArgument} if `bytes` is less than size().
  PlanView build(TileShape tile, DevicePointer buffer, std::size_t bytes, Stream stream = nullptr) const;

  /// Waits for the stream and counts. For hints and reports, not for the hot path.
  PlanCounts analyse(TileShape tile, Stream stream = nullptr);
  /// Waits for the stream and copies a plan to the host.
  static PlanContent read(Device& device, const PlanView& plan, Stream stream = nullptr);

  const MaskShape& mask() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Counts a plan in device memory; waits for the stream.
FLASHMASK_API PlanCounts count_tiles(Device& device, const PlanView& plan, Stream stream = nullptr);

}  // namespace flashmask
