#include "tools/draw/wire_tracks.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

namespace flashmask::draw {
namespace {

constexpr int kApart = 6;  ///< pixels between ends that are not to touch

/// All wires of a net, which share a track.
struct Bundle {
  std::vector<std::size_t> wires;
  int first = 0, last = 0;
  std::size_t waits_for = 0;       ///< bundles that have to lie above
  std::vector<std::size_t> below;  ///< bundles that have to lie below
  std::optional<int> track;
  int least = 0;  ///< by what lies above
};

bool is_level(const Wire& wire) {
  return wire.from != wire.to;
}

std::vector<Bundle> bundles_of(const std::vector<Wire>& wires) {
  std::map<std::size_t, Bundle> by_net;
  for (std::size_t i = 0; i < wires.size(); ++i) {
    if (!is_level(wires[i])) continue;
    Bundle& bundle = by_net[wires[i].net];
    const auto [low, high] = std::minmax(wires[i].from, wires[i].to);
    bundle.first = bundle.wires.empty() ? low : std::min(bundle.first, low);
    bundle.last = bundle.wires.empty() ? high : std::max(bundle.last, high);
    bundle.wires.push_back(i);
  }
  std::vector<Bundle> bundles;
  for (auto& [net, bundle] : by_net) bundles.push_back(std::move(bundle));
  std::ranges::stable_sort(bundles, {}, &Bundle::first);
  return bundles;
}

/// One that comes from above where another goes on below has to turn off above it.
bool has_to_lie_above(const Bundle& upper, const Bundle& lower, const std::vector<Wire>& wires) {
  return std::ranges::any_of(upper.wires, [&](std::size_t above) {
    return std::ranges::any_of(lower.wires, [&](std::size_t below) {
      return wires[below].falls && std::abs(wires[above].from - wires[below].to) < kApart;
    });
  });
}

/// The next bundle that nothing has to lie above; where they all wait for each other, the first.
std::size_t next_of(const std::vector<Bundle>& bundles) {
  std::optional<std::size_t> blocked;
  for (std::size_t i = 0; i < bundles.size(); ++i) {
    if (bundles[i].track) continue;
    if (bundles[i].waits_for == 0) return i;
    if (!blocked) blocked = i;
  }
  return *blocked;
}

int free_track(const std::vector<Bundle>& bundles, const Bundle& wanted) {
  for (int track = wanted.least;; ++track) {
    const bool taken = std::ranges::any_of(bundles, [&](const Bundle& other) {
      return other.track == track && other.first < wanted.last + kApart && wanted.first < other.last + kApart;
    });
    if (!taken) return track;
  }
}

}  // namespace

std::vector<int> wire_tracks(const std::vector<Wire>& wires) {
  std::vector<Bundle> bundles = bundles_of(wires);
  for (std::size_t i = 0; i < bundles.size(); ++i) {
    for (std::size_t j = 0; j < bundles.size(); ++j) {
      if (i == j || !has_to_lie_above(bundles[i], bundles[j], wires)) continue;
      bundles[i].below.push_back(j);
      ++bundles[j].waits_for;
    }
  }
  std::vector<int> tracks(wires.size(), 0);
  for (std::size_t done = 0; done < bundles.size(); ++done) {
    Bundle& bundle = bundles[next_of(bundles)];
    bundle.track = free_track(bundles, bundle);
    for (std::size_t i : bundle.wires) tracks[i] = *bundle.track;
    for (std::size_t i : bundle.below) {
      --bundles[i].waits_for;
      bundles[i].least = std::max(bundles[i].least, *bundle.track + 1);
    }
  }
  return tracks;
}

}  // namespace flashmask::draw
