// ldmatrix and mma. The inputs are different integers, so that an element in a wrong place shows.
#include "program.cuh"

__device__ inline void copy16(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from))
               : "memory");
}

/// kCount matrices of 8 x 8 halves, 16 bytes a row; lane 8i + r has the address of row r of matrix i.
template <int kCount, bool kTransposed, int kFault>
__global__ void loaded_matrices(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned rows[kCount][32];
  for (unsigned i = 0; i < kCount; ++i) rows[i][threadIdx.x] = in[32 * i + threadIdx.x];
  if constexpr (kFault != 2) __syncwarp();
  // Fault 3: the addresses of the matrices one place on.
  const unsigned row = (threadIdx.x + (kFault == 3 ? 1 : 0)) % (8 * kCount);
  const unsigned address = shared_address(&rows[row / 8][row % 8 * 4]);
  unsigned d[kCount];
  load_matrices<kCount, kTransposed != (kFault == 1)>(d, address);
  for (unsigned i = 0; i < kCount; ++i) out[32 * i + threadIdx.x] = d[i];
}

enum Type { kF16, kBf16 };

template <Type kType>
__device__ inline void multiply8(float (&d)[4], const unsigned (&a)[2], const unsigned (&b)[1], const float (&c)[4]) {
  if constexpr (kType == kF16) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
  } else {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
  }
}
template <Type kType>
__device__ inline void multiply16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const float (&c)[4]) {
  if constexpr (kType == kF16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%11,%12,%13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
  }
}

/// D = A B + C with A 16 x kK by rows, B kK x 8 by columns, C and D 16 x 8 by rows. With g = lane / 4 and t = lane % 4,
/// a lane holds pairs of A at rows g and g + 8 and columns 2t (and 2t + 8), pairs of B at rows 2t (and 2t + 8) of
/// column g, and pairs of C at rows g and g + 8 and columns 2t.
template <Type kType, int kK, int kFault>
__global__ void multiplied(const unsigned* a, const unsigned* b, const float* c, float* d) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const float sum[4] = {c[8 * g + 2 * t], c[8 * g + 2 * t + 1], c[8 * g + 64 + 2 * t], c[8 * g + 65 + 2 * t]};
  const auto a_pair = [&](unsigned row, unsigned pair) { return a[kK / 2 * row + pair]; };
  const auto b_pair = [&](unsigned column, unsigned pair) { return b[kK / 2 * column + pair]; };
  // Fault 1: the rows of A change places. Fault 2: B by rows. Fault 3: the rows of D change places.
  const unsigned upper = kFault == 1 ? g + 8 : g, lower = kFault == 1 ? g : g + 8;
  const unsigned column = kFault == 2 ? 2 * t : g, pair = kFault == 2 ? g / 2 : t;
  float result[4];
  if constexpr (kK == 8) {
    multiply8<kType>(result, {a_pair(upper, t), a_pair(lower, t)}, {b_pair(column, pair)}, sum);
  } else {
    multiply16<kType>(result, {a_pair(upper, t), a_pair(lower, t), a_pair(upper, t + 4), a_pair(lower, t + 4)},
                      {b_pair(column, pair), b_pair(column, pair + 4)}, sum);
  }
  const unsigned first = kFault == 3 ? g + 8 : g, second = kFault == 3 ? g : g + 8;
  d[8 * first + 2 * t] = result[0];
  d[8 * first + 2 * t + 1] = result[1];
  d[8 * second + 2 * t] = result[2];
  d[8 * second + 2 * t + 1] = result[3];
}

/// The same with sums of half precision: pairs of C and D in one register.
template <int kK, int kFault>
__global__ void multiplied_half(const unsigned* a, const unsigned* b, const unsigned* c, unsigned* d) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const unsigned c0 = c[4 * g + t], c1 = c[4 * g + 32 + t];
  const unsigned upper = kFault == 1 ? g + 8 : g, lower = kFault == 1 ? g : g + 8;
  const unsigned* a0 = a + kK / 2 * upper + t;
  const unsigned* a1 = a + kK / 2 * lower + t;
  const unsigned* b0 = b + kK / 2 * g + t;
  unsigned d0, d1;
  if constexpr (kK == 8) {
    asm("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3}, {%4}, {%5,%6};"
        : "=r"(d0), "=r"(d1)
        : "r"(a0[0]), "r"(a1[0]), "r"(b0[0]), "r"(c0), "r"(c1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%8,%9};"
        : "=r"(d0), "=r"(d1)
        : "r"(a0[0]), "r"(a1[0]), "r"(a0[4]), "r"(a1[4]), "r"(b0[0]), "r"(b0[4]), "r"(c0), "r"(c1));
  }
  d[4 * g + t] = d0;
  d[4 * g + 32 + t] = d1;
}

/// C = A B for A 32 x 64 and B 64 x 8, both by rows: two warps of 16 rows, slices of 16 in k through two stages of
/// shared memory. B lies by rows and is transposed on its way into registers.
template <int kFault>
__global__ void tile_product(const unsigned short* a, const unsigned short* b, float* c) {
  __shared__ alignas(16) unsigned short a_ring[2][32][16];
  __shared__ alignas(16) unsigned short b_ring[2][16][8];
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const auto fill = [&](unsigned slice) {
    const unsigned row = threadIdx.x / 2, half = threadIdx.x % 2;
    copy16(&a_ring[slice % 2][row][8 * half], &a[64 * row + 16 * slice + 8 * half]);
    if (threadIdx.x < 16) copy16(&b_ring[slice % 2][threadIdx.x][0], &b[8 * (16 * slice + threadIdx.x)]);
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  float sum[4] = {};
  fill(0);
  for (unsigned slice = 0; slice < 4; ++slice) {
    if (slice + 1 < 4) fill(slice + 1);
    if (slice + 1 < 4) {
      if constexpr (kFault == 1) {
        asm volatile("cp.async.wait_group 2;" ::: "memory");
      } else {
        asm volatile("cp.async.wait_group 1;" ::: "memory");
      }
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    if constexpr (kFault != 2) __syncthreads();
    unsigned a_registers[4], b_registers[2];
    load_matrices<4, false>(a_registers, shared_address(&a_ring[slice % 2][16 * warp + lane % 16][lane / 16 * 8]));
    load_matrices<2, kFault != 3>(b_registers, shared_address(&b_ring[slice % 2][lane % 16][0]));
    multiply16<kF16>(sum, a_registers, b_registers, sum);
    if constexpr (kFault != 4) __syncthreads();
  }
  const unsigned g = 16 * warp + lane / 4, t = 2 * (lane % 4);
  c[8 * g + t] = sum[0];
  c[8 * g + t + 1] = sum[1];
  c[8 * g + 64 + t] = sum[2];
  c[8 * g + 65 + t] = sum[3];
}
