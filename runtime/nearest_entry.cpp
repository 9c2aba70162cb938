#include "runtime/nearest_entry.h"

#include <fmt/format.h>

#include <array>
#include <tuple>
#include <utility>

#include "runtime/toolchain.h"

namespace flashmask {
namespace {

constexpr std::size_t kShownDigits = 12;

class Differences {
 public:
  template <typename Value>
  void compare(std::string_view field, const Value& wanted, const Value& found) {
    if (wanted == found) return;
    if constexpr (requires { to_string(wanted); })
      add(field, std::string(to_string(wanted)), std::string(to_string(found)));
    else
      add(field, fmt::format("{}", wanted), fmt::format("{}", found));
  }
  void add(std::string_view field, std::string wanted, std::string found) {
    all_.push_back({std::string(field), std::move(wanted), std::move(found)});
  }
  std::size_t count() const { return all_.size(); }
  std::vector<FieldDifference> take() { return std::move(all_); }

 private:
  std::vector<FieldDifference> all_;
};

void compare(const KernelDescriptor& wanted, const KernelDescriptor& found, Differences& differences) {
  differences.compare("pass", wanted.pass, found.pass);
  differences.compare("dtype", wanted.dtype, found.dtype);
  differences.compare("head_dim_qk", wanted.head_dim_qk, found.head_dim_qk);
  differences.compare("head_dim_v", wanted.head_dim_v, found.head_dim_v);
  differences.compare("mask_form", wanted.mask_form, found.mask_form);
  differences.compare("causal_alignment", wanted.causal_alignment, found.causal_alignment);
  differences.compare("target", wanted.target, found.target);
  differences.compare("deterministic", wanted.deterministic, found.deterministic);
}

void compare(const TileConfig& wanted, const TileConfig& found, Differences& differences) {
  differences.compare("tile_q", wanted.tile_q, found.tile_q);
  differences.compare("tile_k", wanted.tile_k, found.tile_k);
  differences.compare("warps", wanted.warps, found.warps);
  differences.compare("stages", wanted.stages, found.stages);
  differences.compare("query_in_registers", wanted.query_in_registers, found.query_in_registers);
  differences.compare("column_warps", wanted.column_warps, found.column_warps);
  differences.compare("overlap", wanted.overlap, found.overlap);
  differences.compare("turns", wanted.turns, found.turns);
  differences.compare("query_slots", wanted.query_slots, found.query_slots);
}

/// Fields of the descriptor, of the configuration, and the toolchain or the text.
using Distance = std::array<std::size_t, 3>;

std::pair<Distance, std::vector<FieldDifference>> differences_of(const WantedKernel& wanted,
                                                                 const CachedKernel& found) {
  Differences differences;
  Distance distance{};
  compare(wanted.descriptor, found.descriptor, differences);
  distance[0] = differences.count();
  if (distance[0] == 0) compare(wanted.config, found.config, differences);
  distance[1] = differences.count() - distance[0];
  if (!accepts_toolchain(wanted.toolchain, toolchain_tag(found.toolchain)))
    differences.add("toolchain", wanted.toolchain, found.toolchain);
  if (distance[0] + distance[1] == 0 && wanted.digest != found.digest)
    differences.add("text of the kernel", wanted.digest.substr(0, kShownDigits), found.digest.substr(0, kShownDigits));
  distance[2] = differences.count() - distance[1] - distance[0];
  return {distance, differences.take()};
}

}  // namespace

std::optional<NearestEntry> nearest_entry(const WantedKernel& wanted, std::span<const CachedKernel> cached) {
  std::optional<NearestEntry> nearest;
  Distance least{};
  for (const CachedKernel& found : cached) {
    auto [distance, differences] = differences_of(wanted, found);
    if (nearest && std::tie(least, nearest->digest) <= std::tie(distance, found.digest)) continue;
    least = distance;
    nearest = NearestEntry{found.digest, found.toolchain, std::move(differences)};
  }
  return nearest;
}

}  // namespace flashmask
