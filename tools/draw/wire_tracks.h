#pragma once

#include <cstddef>
#include <vector>

namespace flashmask::draw {

/// A level piece of an edge between two layers: it comes from above at one place and goes on at another.
struct Wire {
  int from = 0;
  int to = 0;
  std::size_t net = 0;  ///< wires of one net may lie on each other
  bool falls = true;    ///< it goes on below; else it goes back up
};

/// The track of every wire, from above, so that no wires of different nets lie on each other, upright pieces included
/// where that is possible. Straight wires need no track, and have track 0.
std::vector<int> wire_tracks(const std::vector<Wire>& wires);

}  // namespace flashmask::draw
