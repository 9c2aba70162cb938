#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/occupancy.h"

namespace flashmask {

/// How a kernel cuts its work: chosen by a heuristic or a tuner, never by correctness.
struct TileConfig {
  int tile_q = 0;  ///< query rows per CTA, a multiple of 16 * warps; of a backward per step, a multiple of 16
  int tile_k = 0;  ///< key columns per step, a multiple of 16; of a backward per CTA, of 16 * warps / column_warps
  int warps = 0;   ///< warps per CTA that multiply: 1 to 8; with wgmma 4, 8 or 12, and 4 more bring them the data
  /// Slots of a ring, 2 to 6: of K and V tiles in turn (with wgmma, of each of the two); of a backward, each of a query
  /// tile and its part of dO.
  int stages = 0;
  bool query_in_registers = false;  ///< keep Q's fragments in registers instead of reading them again at every step
  /// Of a backward: warps that share their keys, and split the columns of dK and dV: 1 or 2.
  int column_warps = 1;
  // Of forwards that multiply with wgmma alone:
  /// Turn the scores of a key tile into probabilities while the product of the tile before with V runs.
  bool overlap = false;
  /// The warpgroups take turns: with `overlap` at starting products, without it at the exponentials.
  bool turns = false;
  int query_slots = 1;  ///< query tiles in shared memory: 1, or 2, so that the next one comes early

  friend bool operator==(const TileConfig&, const TileConfig&) = default;
};

/// What a configuration needs of an SM, by the model of the generator (registers are an estimate).
struct ResourceEstimate {
  int registers_per_thread = 0;
  int shared_bytes = 0;  ///< dynamic shared memory per CTA
  int ctas_per_sm = 0;   ///< the least that `occupancy` names; 0: it does not fit
  int warps_per_cta = 0;
  Occupancy occupancy{};  ///< by each limit of the target
};

/// Every rule that the configuration breaks for this descriptor (shape rules and the limits of its target).
FLASHMASK_API std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const TileConfig& config);
/// The default configuration of a legal descriptor: the one that choose_default_tile() explains. It fits its target.
/// Throws std::invalid_argument for an illegal descriptor, with every broken rule, and where no candidate fits, with
/// the limit and every candidate.
FLASHMASK_API TileConfig default_tile_config(const KernelDescriptor& descriptor);
/// Of a legal descriptor and a configuration that breaks no rule of shape.
FLASHMASK_API ResourceEstimate estimate_resources(const KernelDescriptor& descriptor, const TileConfig& config);
/// e.g. "128x64 w4 s2", or "128x128 w8 s2 overlap turns q2".
FLASHMASK_API std::string to_string(const TileConfig& config);
/// The same as one word of a shell, with commas: "128x64,w4,s2".
FLASHMASK_API std::string to_word(const TileConfig& config);
/// The configuration that to_string() or to_word() writes like this. Empty for any other text, and for "any tile";
/// whether a kernel can have the configuration is not judged here.
FLASHMASK_API std::optional<TileConfig> parse_tile_config(std::string_view text);

}  // namespace flashmask
