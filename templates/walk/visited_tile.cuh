#pragma once

namespace flashmask {

/// A key tile on the way of a query tile.
struct VisitedTile {
  bool exists;  // otherwise the way ends here
  int number;
  bool is_partial;  // elements of it have to be tested
};

/// What is known of the way of a query tile before the first step.
struct RowOfTiles {
  int query_tile;
  int first;  // visited key tile
  int last;   // less than first: there is none
};

}  // namespace flashmask
