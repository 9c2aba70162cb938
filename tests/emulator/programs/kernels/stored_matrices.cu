// stmatrix: the inverse of ldmatrix.
#include "program.cuh"

template <int kCount, bool kTransposed>
__device__ inline void store_matrices(unsigned address, const unsigned (&d)[kCount]) {
  if constexpr (kCount == 1 && !kTransposed) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(address), "r"(d[0]) : "memory");
  } else if constexpr (kCount == 1) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(address), "r"(d[0]) : "memory");
  } else if constexpr (kCount == 2 && !kTransposed) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1,%2};" ::"r"(address), "r"(d[0]), "r"(d[1])
                 : "memory");
  } else if constexpr (kCount == 2) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1,%2};" ::"r"(address), "r"(d[0]), "r"(d[1])
                 : "memory");
  } else if constexpr (!kTransposed) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(d[0]), "r"(d[1]),
                 "r"(d[2]), "r"(d[3])
                 : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(d[0]),
                 "r"(d[1]), "r"(d[2]), "r"(d[3])
                 : "memory");
  }
}

/// Register i of a lane is its pair of matrix i; lane 8i + r has the address of row r of matrix i.
template <int kCount, bool kTransposed, int kFault>
__global__ void stored_matrices(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned rows[kCount][32];
  unsigned d[kCount];
  for (unsigned i = 0; i < kCount; ++i) d[i] = in[32 * i + threadIdx.x];
  // Fault 3: the addresses of the matrices one place on.
  const unsigned row = (threadIdx.x + (kFault == 3 ? 1 : 0)) % (8 * kCount);
  store_matrices<kCount, kTransposed != (kFault == 1)>(shared_address(&rows[row / 8][row % 8 * 4]), d);
  if constexpr (kFault != 2) __syncwarp();
  for (unsigned i = 0; i < kCount; ++i) out[32 * i + threadIdx.x] = rows[i][threadIdx.x];
}
