#pragma once

#include <cstddef>

#include "flashmask/device.h"
#include "flashmask/export.h"
#include "flashmask/mask_shape.h"

namespace flashmask {
class Runtime;
}

/// Masks whose vectors are written on the device, from lengths or ids that lie there: for engines that know a batch's
/// documents only on the GPU, or that replay a CUDA graph. Each writes what the builder of the same name in
/// mask_builders.h would, value by value, for every batch entry, and returns the shape that a MaskPlan or a launch
/// takes.
///
/// A call enqueues one launch (three for ids) and returns: it neither waits for the device nor allocates, so it may be
/// captured in a graph. Its kernels must be there by then: the first call for a form loads them, and compiles them if
/// the cache has none; load() does so beforehand. A first call on a stream that is captured is Error{kCapturing}.
/// Thread-safe. Memory is the caller's, and must live until the launches are done.
///
/// What the host can see is judged: each function throws Error{kInvalidArgument} with every broken rule and its
/// numbers, and what Runtime::request() throws. Values in device memory cannot be refused without waiting for them: any
/// are safe, and their meaning is told below.
namespace flashmask::device_masks {

/// Extents of the mask to write; it has one mask head. Batch 1 to 65535, lengths 1 to 2^29. Queries are the last
/// seqlen_q positions of the keys.
struct Extents {
  int batch = 1;
  int seqlen_q = 0;
  int seqlen_k = 0;
};

/// Where the mask is written: startend_row_indices, int32 [batch, 1, seqlen_k, vectors], contiguous, at a multiple of 4
/// bytes for form C1 and of 8 for F2, and at least bytes_needed() large.
struct Output {
  DevicePointer startend_row_indices = 0;
  std::size_t bytes = 0;
};

/// Cumulative lengths in device memory: int32 [batch, documents + 1], contiguous; a row is {0, end of the first
/// document, …, seqlen_k}.
///
/// Every sum inside of 1 .. seqlen_k - 1 is a boundary at which a document begins; other values are none. So equal
/// sums are documents of length 0, which have no keys (rows may be filled up with the last sum), keys behind the last
/// sum are a document of their own (padding), and the order does not matter.
///
/// Time is that of reading the sums once per 1024 keys.
struct CumulativeLengths {
  DevicePointer sums = 0;
  int documents = 0;  ///< of a batch entry, those of length 0 included; 1 to 2^29
};

/// Document ids in device memory: int32 [batch, seqlen_k], contiguous. A document is a longest run of equal neighbours;
/// ids may have any values, and one that comes again later is another document. Must not overlap the output. Time is
/// linear in the keys.
struct DocumentIds {
  DevicePointer ids = 0;
};

/// Bytes of startend_row_indices for a mask of this form, C1 or F2.
FLASHMASK_API std::size_t bytes_needed(MaskForm form, const Extents& extents);

/// Loads the kernels that write masks of this form, C1 or F2, into the runtime, which keeps them.
FLASHMASK_API void load(Runtime& runtime, MaskForm form);

/// Row p sees key j iff both are in one document and j <= p. Form C1. Refuses more queries than keys.
FLASHMASK_API MaskShape causal_documents(Runtime& runtime, const Extents& extents, const CumulativeLengths& lengths,
                                         const Output& output, Stream stream = nullptr);
FLASHMASK_API MaskShape causal_documents(Runtime& runtime, const Extents& extents, const DocumentIds& ids,
                                         const Output& output, Stream stream = nullptr);

/// Row p sees key j iff both are in one document. Form F2. Refuses more queries than keys.
FLASHMASK_API MaskShape documents(Runtime& runtime, const Extents& extents, const CumulativeLengths& lengths,
                                  const Output& output, Stream stream = nullptr);
FLASHMASK_API MaskShape documents(Runtime& runtime, const Extents& extents, const DocumentIds& ids,
                                  const Output& output, Stream stream = nullptr);

/// Row p sees key j iff p - window < j <= p: `window` keys, its own included; any lengths. Form C1. Refuses window < 1.
FLASHMASK_API MaskShape sliding_window(Runtime& runtime, const Extents& extents, int window, const Output& output,
                                       Stream stream = nullptr);

/// Row i sees key j iff i + offset - left <= j <= i + offset + right, offset = seqlen_k - seqlen_q (bottom right) or 0
/// (top left); -1: no bound on that side; any lengths. Form F2. Refuses left and right below -1.
FLASHMASK_API MaskShape window_as_intervals(Runtime& runtime, const Extents& extents, int left, int right,
                                            CausalAlignment alignment, const Output& output, Stream stream = nullptr);

}  // namespace flashmask::device_masks
