#pragma once

namespace flashmask {

/// A key tile on the way of a query tile.
struct VisitedTile {
  bool exists;  // otherwise the way ends here
  int number;
  bool is_partial;  // elements of it have to be tested
};

}  // namespace flashmask
