#pragma once

namespace flashmask {

/// One tile of one head.
struct WorkItem {
  int rank;  // among the tiles of its head, in the order of the caller: mostly longest work first
  int head;  // over all batch entries
};

/// Tiles of heads, `tiles` of each; the work of `section_heads` of them is started together.
struct WorkOrder {
  int tiles;
  int section_heads;
  int heads;
};

/// The n-th piece of work to be started. Heads are taken in sections, of which what is read again and again fits the L2
/// cache; in a section the longest rows of all heads come first, so that what starts last, and may run alone, is short.
__device__ __forceinline__ WorkItem work_item(const WorkOrder& order, unsigned n) {
  const unsigned of_section = static_cast<unsigned>(order.tiles) * order.section_heads;
  const unsigned section = n / of_section;
  const unsigned place = n - section * of_section;
  const unsigned first_head = section * order.section_heads;
  const unsigned heads =
      min(static_cast<unsigned>(order.section_heads), static_cast<unsigned>(order.heads) - first_head);
  return {static_cast<int>(place / heads), static_cast<int>(first_head + place % heads)};
}

}  // namespace flashmask
