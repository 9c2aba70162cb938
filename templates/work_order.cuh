#pragma once

#include "forward_arguments.cuh"

namespace flashmask {

/// One query tile of one head.
struct WorkItem {
  int rank;  // among the query tiles of its head, longest work first
  int head;  // batch entry * num_heads_q + query head
};

/// The n-th piece of work to be started. Heads are taken in sections whose keys and values fit the L2 cache together;
/// in a section the longest rows of all heads come first, so that what starts last, and may run alone, is short.
__device__ __forceinline__ WorkItem work_item(const ForwardArguments& arguments, unsigned n) {
  const unsigned of_section = static_cast<unsigned>(arguments.row_tiles) * arguments.section_heads;
  const unsigned section = n / of_section;
  const unsigned place = n - section * of_section;
  const unsigned first_head = section * arguments.section_heads;
  const unsigned heads = min(static_cast<unsigned>(arguments.section_heads),
                             static_cast<unsigned>(arguments.batch * arguments.num_heads_q) - first_head);
  return {static_cast<int>(place / heads), static_cast<int>(first_head + place % heads)};
}

}  // namespace flashmask
