// The matrices of mma.h: fragments whose layout is nobody's business.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include <cuda/std/type_traits>

namespace wmma = nvcuda::wmma;

template <bool kByColumns>
using Layout = cuda::std::conditional_t<kByColumns, wmma::col_major, wmma::row_major>;

/// D = A B + 2 C with A kM x 16 and B 16 x kN, by rows or by columns; C and D by rows.
template <class Half, int kM, int kN, bool kAByColumns, bool kBByColumns, int kFault>
__global__ void multiplied(const Half* a, const Half* b, const float* c, float* d) {
  __shared__ alignas(32) Half b_tile[16 * kN];
  for (unsigned i = threadIdx.x; i < 16 * kN; i += 32) b_tile[i] = b[i];
  if constexpr (kFault != 1) __syncwarp();
  // Fault 2: the other layout of A. Fault 3: of B. Fault 4: of D.
  constexpr bool kA = kAByColumns != (kFault == 2), kB = kBByColumns != (kFault == 3);
  wmma::fragment<wmma::matrix_a, kM, kN, 16, Half, Layout<kA>> a_fragment;
  wmma::fragment<wmma::matrix_b, kM, kN, 16, Half, Layout<kB>> b_fragment;
  wmma::fragment<wmma::accumulator, kM, kN, 16, float> sums;
  wmma::load_matrix_sync(a_fragment, a, kA ? kM : 16);
  wmma::load_matrix_sync(b_fragment, b_tile, kB ? 16 : kN);
  wmma::load_matrix_sync(sums, c, kN, wmma::mem_row_major);
  // Fault 5: an element of each lane is forgotten.
  for (unsigned i = kFault == 5 ? 1 : 0; i < sums.num_elements; ++i) sums.x[i] *= 2;
  wmma::mma_sync(sums, a_fragment, b_fragment, sums);
  if constexpr (kFault == 4) {
    wmma::store_matrix_sync(d, sums, kM, wmma::mem_col_major);
  } else {
    wmma::store_matrix_sync(d, sums, kN, wmma::mem_row_major);
  }
}

/// The same with sums of half precision, from a fragment that is filled, 2 A B + 5.
template <int kM, int kN, int kFault>
__global__ void multiplied_half(const __half* a, const __half* b, __half* d) {
  wmma::fragment<wmma::matrix_a, kM, kN, 16, __half, wmma::row_major> a_fragment;
  wmma::fragment<wmma::matrix_b, kM, kN, 16, __half, wmma::col_major> b_fragment;
  wmma::fragment<wmma::accumulator, kM, kN, 16, __half> sums;
  wmma::load_matrix_sync(a_fragment, a, 16);
  wmma::load_matrix_sync(b_fragment, b, 16);
  wmma::fill_fragment(sums, __half(5.0f));
  for (__half& each : a_fragment.x) each = each * __half(2.0f);
  if constexpr (kFault == 1) {
    wmma::mma_sync(sums, a_fragment, b_fragment, sums);
  }
  wmma::mma_sync(sums, a_fragment, b_fragment, sums);
  // Fault 2: rows of the other length.
  wmma::store_matrix_sync(d, sums, kFault == 2 ? kM : kN, kFault == 2 ? wmma::mem_col_major : wmma::mem_row_major);
}

/// D = A B for A 32 x 64 and B 64 x 32, all by rows: four warps of one 16 x 16 tile each, slices of 16 in k through one
/// stage of shared memory whose rows are padded.
template <class Half, int kFault>
__global__ void tile_product(const Half* a, const Half* b, float* d) {
  constexpr unsigned kAStride = 32, kBStride = 48;
  __shared__ alignas(32) Half a_tile[32][kAStride];
  __shared__ alignas(32) Half b_tile[16][kBStride];
  const unsigned warp = threadIdx.x / 32, row = 16 * (warp / 2), column = 16 * (warp % 2);
  wmma::fragment<wmma::matrix_a, 16, 16, 16, Half, wmma::row_major> a_fragment;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, Half, wmma::row_major> b_fragment;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums;
  wmma::fill_fragment(sums, 0.0f);
  for (unsigned slice = 0; slice < 4; ++slice) {
    for (unsigned i = threadIdx.x; i < 32 * 16; i += 128) {
      a_tile[i / 16][i % 16] = a[64 * (i / 16) + 16 * slice + i % 16];
      b_tile[i / 32][i % 32] = b[32 * (16 * slice + i / 32) + i % 32];
    }
    if constexpr (kFault != 1) __syncthreads();
    wmma::load_matrix_sync(a_fragment, &a_tile[row][0], kAStride);
    // Fault 3: the stride of the other tile.
    wmma::load_matrix_sync(b_fragment, &b_tile[0][column], kFault == 3 ? kAStride : kBStride);
    wmma::mma_sync(sums, a_fragment, b_fragment, sums);
    if constexpr (kFault != 2) __syncthreads();
  }
  wmma::store_matrix_sync(d + 32 * row + column, sums, 32, wmma::mem_row_major);
}

/// Two warps sum up halves of A B, A 16 x 32 by rows and B 32 x 16 by columns: the first adds what the second stored.
template <int kFault>
__global__ void split_sums(const __half* a, const __half* b, float* d) {
  __shared__ alignas(32) float partial[16 * 16];
  const unsigned warp = threadIdx.x / 32;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a_fragment;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> b_fragment;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums, others;
  wmma::load_matrix_sync(a_fragment, a + 16 * warp, 32);
  wmma::load_matrix_sync(b_fragment, b + 16 * warp, 32);
  wmma::fill_fragment(sums, 0.0f);
  wmma::mma_sync(sums, a_fragment, b_fragment, sums);
  if (warp == 1) wmma::store_matrix_sync(partial, sums, 16, wmma::mem_row_major);
  if constexpr (kFault != 1) __syncthreads();
  if (warp == 1) return;
  // Fault 2: what the second stored by rows is read by columns.
  wmma::load_matrix_sync(others, partial, 16, kFault == 2 ? wmma::mem_col_major : wmma::mem_row_major);
  for (unsigned i = 0; i < sums.num_elements; ++i) sums.x[i] += others.x[i];
  wmma::store_matrix_sync(d, sums, 16, wmma::mem_row_major);
}
