#pragma once

namespace flashmask {

/// Reads four 8 x 8 matrices of 16-bit elements; lane 8i + r gives the address of row r of matrix i, and lane l
/// receives elements (l / 4, 2 (l % 4)) and its right neighbour of each.
__device__ __forceinline__ void load_matrices(unsigned (&out)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

/// The same, each matrix transposed.
__device__ __forceinline__ void load_matrices_transposed(unsigned (&out)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

/// Writes four 8 x 8 matrices, the other way round.
__device__ __forceinline__ void store_matrices(unsigned address, const unsigned (&in)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(in[0]),
               "r"(in[1]), "r"(in[2]), "r"(in[3])
               : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, unsigned value) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, unsigned first, unsigned second) {
  asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(address), "r"(first), "r"(second) : "memory");
}

__device__ __forceinline__ uint4 load_shared_16(unsigned address) {
  uint4 value;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(address)
               : "memory");
  return value;
}

__device__ __forceinline__ void load_shared(int (&out)[1], unsigned address) {
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(out[0]) : "r"(address) : "memory");
}
__device__ __forceinline__ void load_shared(int (&out)[2], unsigned address) {
  asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(out[0]), "=r"(out[1]) : "r"(address) : "memory");
}
__device__ __forceinline__ void load_shared(int (&out)[4], unsigned address) {
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void load_shared(float (&out)[2], unsigned address) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(out[0]), "=f"(out[1]) : "r"(address) : "memory");
}
__device__ __forceinline__ void load_shared(float (&out)[4], unsigned address) {
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(out[0]), "=f"(out[1]), "=f"(out[2]), "=f"(out[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, const float (&in)[4]) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(in[0]), "f"(in[1]), "f"(in[2]), "f"(in[3])
               : "memory");
}
__device__ __forceinline__ void store_shared(unsigned address, const void* value) {
  asm volatile("st.shared.b64 [%0], %1;" ::"r"(address), "l"(value) : "memory");
}
__device__ __forceinline__ const void* load_shared_pointer(unsigned address) {
  const void* value;
  asm volatile("ld.shared.b64 %0, [%1];" : "=l"(value) : "r"(address) : "memory");
  return value;
}

/// Address of the CTA's dynamic shared memory in the shared window; a multiple of 1024, as swizzled tiles need it.
__device__ __forceinline__ unsigned dynamic_shared_memory() {
  extern __shared__ __align__(1024) unsigned char bytes[];
  return static_cast<unsigned>(__cvta_generic_to_shared(bytes));
}

}  // namespace flashmask
