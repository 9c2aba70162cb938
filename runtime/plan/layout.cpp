#include "runtime/plan/layout.h"

#include <fmt/format.h>

#include "templates/mask_plan_types.cuh"

namespace flashmask {
namespace {

constexpr int kMaxSeqlen = 1 << 29;
constexpr std::int64_t kMaxMaskHeads = 65535;  // the y extent of a CUDA grid
constexpr int kMaxTile = 256;
constexpr std::size_t kAlignment = 16;

std::int64_t divide_up(std::int64_t dividend, std::int64_t divisor) {
  return (dividend + divisor - 1) / divisor;
}

/// Hands out consecutive arrays.
class Offsets {
 public:
  std::size_t take(std::int64_t count, std::size_t element) {
    const std::size_t at = next_;
    next_ += (static_cast<std::size_t>(count) * element + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  std::size_t end() const { return next_; }

 private:
  std::size_t next_ = 0;
};

}  // namespace

std::vector<std::string> broken_plan_rules(const MaskShape& mask, TileShape tile) {
  std::vector<std::string> rules;
  const auto require = [&rules](bool kept, std::string text) {
    if (!kept) rules.push_back(std::move(text));
  };
  require(vectors_per_column(mask.form) > 0,
          fmt::format("form = {}: closed forms need no plan; c1, c2, f2 and f4 have one", to_string(mask.form)));
  require(mask.seqlen_q >= 1 && mask.seqlen_q <= kMaxSeqlen,
          fmt::format("seqlen_q = {}: 1 to {} is allowed", mask.seqlen_q, kMaxSeqlen));
  require(mask.seqlen_k >= 1 && mask.seqlen_k <= kMaxSeqlen,
          fmt::format("seqlen_k = {}: 1 to {} is allowed", mask.seqlen_k, kMaxSeqlen));
  const std::int64_t mask_heads = std::int64_t{mask.batch} * mask.num_heads;
  require(mask.batch >= 1 && mask.num_heads >= 1 && mask_heads <= kMaxMaskHeads,
          fmt::format("batch = {} and num_heads = {}: 1 to {} mask heads in all are allowed", mask.batch,
                      mask.num_heads, kMaxMaskHeads));
  for (const auto& [name, extent] : {std::pair("tile_q", tile.tile_q), std::pair("tile_k", tile.tile_k)})
    require(extent >= 16 && extent <= kMaxTile && extent % 16 == 0,
            fmt::format("{} = {}: a multiple of 16 from 16 to {} is needed, as a kernel's config() has it", name,
                        extent, kMaxTile));
  return rules;
}

PlanLayout plan_layout(const MaskShape& mask, TileShape tile) {
  PlanLayout layout;
  layout.mask_heads = std::int64_t{mask.batch} * mask.num_heads;
  layout.row_tiles = divide_up(mask.seqlen_q, tile.tile_q);
  layout.key_tiles = divide_up(mask.seqlen_k, tile.tile_k);
  layout.row_words = divide_up(layout.row_tiles, 32);
  layout.key_words = divide_up(layout.key_tiles, 32);
  Offsets offsets;
  layout.row_classes =
      offsets.take(layout.mask_heads * layout.row_tiles * layout.key_words, sizeof(mask_plan::TileWord));
  layout.key_classes =
      offsets.take(layout.mask_heads * layout.key_tiles * layout.row_words, sizeof(mask_plan::TileWord));
  layout.row_summaries = offsets.take(layout.mask_heads * layout.row_tiles, sizeof(mask_plan::Summary));
  layout.key_summaries = offsets.take(layout.mask_heads * layout.key_tiles, sizeof(mask_plan::Summary));
  layout.row_work = offsets.take(layout.mask_heads * layout.row_tiles, sizeof(mask_plan::Work));
  layout.key_work = offsets.take(layout.mask_heads * layout.key_tiles, sizeof(mask_plan::Work));
  layout.arrivals = offsets.take(layout.mask_heads, sizeof(unsigned));
  layout.bytes = offsets.end();
  return layout;
}

}  // namespace flashmask
