#include <algorithm>
#include <array>
#include <cstddef>

#include "flashmask/mask_tiles.h"

namespace flashmask {
namespace {

/// As many as threads of a block that could sort them on the device.
constexpr int kBuckets = 1024;

/// A stable counting sort, which the device repeats number by number: the quotient is exact in 64 bits.
std::vector<int> longest_first(std::span<const TileSummary> summaries) {
  std::int64_t max_cost = 0;
  for (const TileSummary& summary : summaries) max_cost = std::max(max_cost, tile_cost(summary));
  const auto bucket_of = [&](const TileSummary& summary) -> std::size_t {
    if (max_cost == 0) return 0;
    return static_cast<std::size_t>(kBuckets - 1 - tile_cost(summary) * (kBuckets - 1) / max_cost);
  };
  std::array<int, kBuckets + 1> starts{};
  for (const TileSummary& summary : summaries) ++starts[bucket_of(summary) + 1];
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) starts[bucket + 1] += starts[bucket];
  std::vector<int> order(summaries.size());
  for (std::size_t tile = 0; tile < summaries.size(); ++tile) {
    order[static_cast<std::size_t>(starts[bucket_of(summaries[tile])]++)] = static_cast<int>(tile);
  }
  return order;
}

}  // namespace

std::vector<int> TileMap::row_order(int batch, int head) const {
  return longest_first(row_summaries(batch, head));
}

std::vector<int> TileMap::key_order(int batch, int head) const {
  return longest_first(key_summaries(batch, head));
}

std::vector<std::int64_t> TileMap::row_load(int batch, int head) const {
  std::vector<std::int64_t> load;
  for (const TileSummary& summary : row_summaries(batch, head)) load.push_back(tile_cost(summary));
  return load;
}

}  // namespace flashmask
