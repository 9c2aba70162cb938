// Copies of boxes of tensors: dimensions, bounds, swizzles.
#include "program.cuh"

template <int kRank>
struct Corner {
  int at[kRank];
};

template <int kRank>
__device__ inline void tensor_load(void* to, const TensorMap& map, const Corner<kRank>& corner, Mbarrier* barrier) {
  const unsigned address = shared_address(to), signal = shared_address(barrier);
  const int* at = corner.at;
  if constexpr (kRank == 1) {
    asm volatile(
        "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2}], "
        "[%3];" ::"r"(address),
        "l"(&map), "r"(at[0]), "r"(signal)
        : "memory");
  } else if constexpr (kRank == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
        "%3}], [%4];" ::"r"(address),
        "l"(&map), "r"(at[0]), "r"(at[1]), "r"(signal)
        : "memory");
  } else if constexpr (kRank == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
        "%3, %4}], [%5];" ::"r"(address),
        "l"(&map), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(signal)
        : "memory");
  } else if constexpr (kRank == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
        "%3, %4, %5}], [%6];" ::"r"(address),
        "l"(&map), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(signal)
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
        "%3, %4, %5, %6}], [%7];" ::"r"(address),
        "l"(&map), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]), "r"(signal)
        : "memory");
  }
}

/// The box of kWords words whose first element has the given coordinates, as it lies in shared memory.
template <int kRank, int kWords, int kFault>
__global__ void tensor_in(const __grid_constant__ TensorMap map, const int* corner, const unsigned*, unsigned* out) {
  __shared__ alignas(128) unsigned box[kWords];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
    mbarrier_expect(&barrier, kWords * 4);
    Corner<kRank> first;
    // Fault 4: the outermost coordinate first.
    for (int i = 0; i < kRank; ++i) first.at[i] = corner[kFault == 4 ? kRank - 1 - i : i];
    if constexpr (kFault == 2) first.at[0] += 4;
    if constexpr (kFault == 3) first.at[0] += 1;
    tensor_load(box, map, first, &barrier);
  }
  __syncthreads();
  if constexpr (kFault != 1) mbarrier_wait(&barrier, 0);
  for (unsigned i = threadIdx.x; i < kWords; i += 32) out[i] = box[i];
}

/// The place of byte `at` under a swizzle whose span is 32, 64 or 128 bytes (or 0): bits of the 128-byte row go into
/// the number of the 16-byte chunk.
template <int kSpan>
__device__ inline unsigned swizzled(unsigned at) {
  constexpr unsigned kBits = kSpan == 128 ? 7 : kSpan == 64 ? 3 : kSpan == 32 ? 1 : 0;
  return at ^ ((at >> 7 & kBits) << 4);
}

/// A box of 16 rows of kSpan bytes (32 without a swizzle), read back element by element through the swizzle.
template <int kSpan, int kFault>
__global__ void swizzled_in(const __grid_constant__ TensorMap map, const unsigned*, unsigned* out) {
  constexpr unsigned kRow = kSpan == 0 ? 32 : kSpan;
  __shared__ alignas(1024) unsigned char box[16 * kRow];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
    mbarrier_expect(&barrier, sizeof box);
    tensor_load<2>(box, map, {{0, 0}}, &barrier);
  }
  __syncthreads();
  mbarrier_wait(&barrier, 0);
  for (unsigned i = threadIdx.x; i < 4 * kRow; i += 32) {
    // Fault 1: as if the bits came from the next lower place.
    const unsigned place = kFault == 1 ? swizzled<kSpan>(4 * i) ^ 16 * (i / 16 % 2) : swizzled<kSpan>(4 * i);
    out[i] = *reinterpret_cast<unsigned*>(&box[place]);
  }
}

/// The way back: written through the swizzle, copied out.
template <int kSpan, int kFault>
__global__ void swizzled_out(const __grid_constant__ TensorMap map, const unsigned* in, unsigned*) {
  constexpr unsigned kRow = kSpan == 0 ? 32 : kSpan;
  __shared__ alignas(1024) unsigned char box[16 * kRow];
  for (unsigned i = threadIdx.x; i < 4 * kRow; i += 32) {
    const unsigned place = kFault == 2 ? swizzled<kSpan>(4 * i) ^ 16 * (i / 16 % 2) : swizzled<kSpan>(4 * i);
    *reinterpret_cast<unsigned*>(&box[place]) = in[i];
  }
  if constexpr (kFault != 1) fence_proxy_async();
  __syncwarp();
  if (threadIdx.x == 0) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map), "r"(0),
                 "r"(0), "r"(shared_address(box))
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    if constexpr (kFault != 3) asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
  }
}

/// Two CTAs add boxes to overlapping places of a tensor.
template <int kFault>
__global__ void tensor_sums(const __grid_constant__ TensorMap map, const unsigned* in, unsigned*) {
  __shared__ alignas(128) unsigned box[4][8];
  box[threadIdx.x / 8][threadIdx.x % 8] = in[32 * blockIdx.x + threadIdx.x];
  if constexpr (kFault != 1) fence_proxy_async();
  if constexpr (kFault != 2) __syncwarp();
  // Row 6 and beyond lie outside: nothing is added there.
  const int row = 3 * blockIdx.x;
  if (threadIdx.x == 0) {
    asm volatile(
        "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map),
        "r"(0), "r"(row), "r"(shared_address(box))
        : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
  }
}
