#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/mask_shape.h"

namespace flashmask {

/// Where the arrays of a plan lie in its buffer: offsets in bytes, multiples of 16.
struct PlanLayout {
  std::int64_t mask_heads = 0;  ///< batch * num_heads
  std::int64_t row_tiles = 0;
  std::int64_t key_tiles = 0;
  std::int64_t row_words = 0;  ///< of 32 row tiles
  std::int64_t key_words = 0;
  std::size_t row_classes = 0;
  std::size_t key_classes = 0;
  std::size_t row_summaries = 0;
  std::size_t key_summaries = 0;
  std::size_t row_work = 0;
  std::size_t key_work = 0;
  std::size_t arrivals = 0;
  std::size_t bytes = 0;
};

/// Every rule that they break, with the numbers. Empty if a plan can be made.
std::vector<std::string> broken_plan_rules(const MaskShape& mask, TileShape tile);
/// Of a mask and tile that break no rule.
PlanLayout plan_layout(const MaskShape& mask, TileShape tile);

}  // namespace flashmask
