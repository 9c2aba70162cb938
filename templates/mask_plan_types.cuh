#pragma once

namespace flashmask::mask_plan {

// What a mask plan holds, as the kernels that build it, those that use it and the host read it.

/// The classes of 32 neighbouring tiles, one bit each; neither bit: empty. Bits past the last tile are 0.
struct TileWord {
  unsigned partial;
  unsigned full;
};

/// The tiles of one row (or column) of tiles that are not empty.
struct Summary {
  int first;    // 0 if there is none
  int last;     // -1 if there is none
  int partial;  // how many
  int full;
};

/// An entry of the order of work, longest first.
struct Work {
  int tile;  // the row (or column) of tiles
  int first;
  int last;
  int visible;  // partial and full tiles
};

}  // namespace flashmask::mask_plan
