#pragma once

#include "tensor_map.cuh"

namespace flashmask {

// Copies of boxes between a tensor [batch, seqlen, heads, columns] in global memory and shared memory, started by one
// thread. What lies outside the tensor is read as zeros and not written.

/// Where a box begins.
struct BoxPlace {
  int column;
  int row;
  int head;
  int batch;
};

__device__ __forceinline__ void prefetch_tensor_map(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// The mbarrier is told of the bytes of the box when they have landed.
__device__ __forceinline__ void load_box(unsigned destination, const TensorMap& map, const BoxPlace& place,
                                         unsigned mbarrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], "
      "[%6];" ::"r"(destination),
      "l"(&map), "r"(place.column), "r"(place.row), "r"(place.head), "r"(place.batch), "r"(mbarrier)
      : "memory");
}

__device__ __forceinline__ void store_box(const TensorMap& map, const BoxPlace& place, unsigned source) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3, %4}], [%5];" ::"l"(&map),
               "r"(place.column), "r"(place.row), "r"(place.head), "r"(place.batch), "r"(source)
               : "memory");
}

/// Copies bytes, a multiple of 16 from a multiple of 16 on, from global to shared memory; the mbarrier is told of them.
__device__ __forceinline__ void load_bytes(unsigned destination, const void* source, unsigned bytes,
                                           unsigned mbarrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(destination),
      "l"(source), "r"(bytes), "r"(mbarrier)
      : "memory");
}

/// Adds floats in shared memory to those in global memory, each in one step. As a store.
__device__ __forceinline__ void add_floats(float* destination, unsigned source, unsigned bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(destination),
               "r"(source), "r"(bytes)
               : "memory");
}

/// Closes the group of this thread's stores since the last call.
__device__ __forceinline__ void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until the sources of all of this thread's stores have been read.
__device__ __forceinline__ void wait_until_stores_are_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/// Waits until all of this thread's stores are done.
__device__ __forceinline__ void wait_until_stores_are_done() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

/// Orders asynchronous additions to global memory behind what this thread has seen there.
__device__ __forceinline__ void fence_for_async_reductions() {
  asm volatile("fence.proxy.async.global;" ::: "memory");
}

/// Lets asynchronous copies and products see what this thread has written to shared memory.
__device__ __forceinline__ void fence_for_async_reads() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace flashmask
