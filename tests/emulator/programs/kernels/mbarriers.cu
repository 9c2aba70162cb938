// mbarriers, by hand and through the C++ library.
#include <cooperative_groups.h>

#include <cuda/barrier>
#include <cuda/pipeline>

#include "program.cuh"

/// Everybody stores, arrives, waits, and reads what another has stored.
template <int kFault>
__global__ void met_at_mbarrier(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[64];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) mbarrier_init(&barrier, kFault == 3 ? 63 : kFault == 4 ? 65 : 64);
  if constexpr (kFault != 2) __syncthreads();
  row[threadIdx.x] = in[threadIdx.x];
  mbarrier_arrive(&barrier);
  if constexpr (kFault != 1) mbarrier_wait(&barrier, 0);
  out[threadIdx.x] = row[63 - threadIdx.x];
}

/// A producer warp and a consumer warp, two stages, two mbarriers for each.
template <int kFault>
__global__ void ring_of_roles(const unsigned* in, unsigned* out) {
  __shared__ unsigned ring[2][32];
  __shared__ Mbarrier full[2], empty[2];
  constexpr unsigned kSteps = 6;
  if (threadIdx.x == 0) {
    for (unsigned i = 0; i < 2; ++i) {
      mbarrier_init(&full[i], 32);
      mbarrier_init(&empty[i], 32);
    }
  }
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (unsigned step = 0; step < kSteps; ++step) {
      const unsigned stage = step % 2, round = step / 2;
      // The first round finds the stages empty: a wait for the phase before the first returns at once.
      if constexpr (kFault != 1) mbarrier_wait(&empty[stage], (round + 1) % 2);
      if constexpr (kFault == 4) mbarrier_arrive(&full[stage]);
      ring[stage][lane] = in[32 * step + lane];
      if constexpr (kFault != 4) mbarrier_arrive(&full[stage]);
    }
  } else {
    for (unsigned step = 0; step < kSteps; ++step) {
      const unsigned stage = step % 2, round = step / 2;
      mbarrier_wait(&full[stage], kFault == 2 ? (round + 1) % 2 : round % 2);
      out[32 * step + lane] = ring[stage][31 - lane];
      if (kFault != 3 || lane != 7) mbarrier_arrive(&empty[stage]);
    }
  }
}

/// The token of an arrival says which phase to wait for.
template <int kFault>
__global__ void waited_by_token(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[64];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) mbarrier_init(&barrier, 64);
  __syncthreads();
  unsigned long long token = 0, older = 0;
  unsigned value = in[threadIdx.x];
  for (unsigned step = 0; step < 3; ++step) {
    row[threadIdx.x] = value;
    for (unsigned half = 0; half < 2; ++half) {
      older = token;
      asm volatile("mbarrier.arrive.shared::cta.b64 %0, [%1];"
                   : "=l"(token)
                   : "r"(shared_address(&barrier))
                   : "memory");
      // The token of the phase before: that one is over.
      const unsigned long long waited = kFault == 1 && step > 0 ? older : token;
      unsigned done = 0;
      while (done == 0) {
        asm volatile(
            "{\n"
            "  .reg .pred p;\n"
            "  mbarrier.test_wait.shared::cta.b64 p, [%1], %2;\n"
            "  selp.u32 %0, 1, 0, p;\n"
            "}"
            : "=r"(done)
            : "r"(shared_address(&barrier)), "l"(waited)
            : "memory");
      }
      if (half == 0) value = row[(threadIdx.x + 1) % 64];
    }
  }
  out[threadIdx.x] = value;
}

/// The second warp takes part in one phase only and says so.
template <int kFault>
__global__ void dropped(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[64];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) mbarrier_init(&barrier, 64);
  __syncthreads();
  row[threadIdx.x] = in[threadIdx.x];
  if (threadIdx.x >= 32) {
    if constexpr (kFault == 1) {
      mbarrier_arrive(&barrier);
    } else {
      asm volatile("mbarrier.arrive_drop.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
    }
    return;
  }
  mbarrier_arrive(&barrier);
  mbarrier_wait(&barrier, 0);
  const unsigned value = row[threadIdx.x + 32];
  row[threadIdx.x] = value;
  mbarrier_arrive(&barrier);
  mbarrier_wait(&barrier, 1);
  out[threadIdx.x] = row[31 - threadIdx.x];
}

/// cp.async tells an mbarrier when a thread's copies have landed.
template <int kFault>
__global__ void copies_arrive(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned row[256];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) mbarrier_init(&barrier, 64);
  __syncthreads();
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(&row[4 * threadIdx.x])),
               "l"(__cvta_generic_to_global(&in[4 * threadIdx.x]))
               : "memory");
  if constexpr (kFault == 1) {
    mbarrier_arrive(&barrier);
  } else {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(&barrier)) : "memory");
  }
  if constexpr (kFault != 2) mbarrier_wait(&barrier, 0);
  for (unsigned i = threadIdx.x; i < 256; i += 64) out[i] = row[255 - i];
}

/// cuda::barrier, three phases.
template <int kFault>
__global__ void library_phases(const unsigned* in, unsigned* out) {
  __shared__ unsigned rows[2][64];
  __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
  if (threadIdx.x == 0) init(&barrier, 64);
  if constexpr (kFault != 2) __syncthreads();
  unsigned value = in[threadIdx.x];
  for (unsigned step = 0; step < 3; ++step) {
    rows[step % 2][threadIdx.x] = value;
    auto token = barrier.arrive();
    if constexpr (kFault == 1) {
      if (step == 2) barrier.wait(cuda::std::move(token));
    } else {
      barrier.wait(cuda::std::move(token));
    }
    value = rows[step % 2][(threadIdx.x + 1) % 64] + step;
  }
  out[threadIdx.x] = value;
}

/// cuda::pipeline of a block: the first warp produces, the second consumes.
template <int kFault>
__global__ void pipeline_roles(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned ring[2][32];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
  const auto role = threadIdx.x < 32 ? cuda::pipeline_role::producer : cuda::pipeline_role::consumer;
  auto pipeline = cuda::make_pipeline(cooperative_groups::this_thread_block(), &state, role);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned step = 0; step < 5; ++step) {
    if (role == cuda::pipeline_role::producer) {
      pipeline.producer_acquire();
      if constexpr (kFault == 3) {
        ring[step % 2][lane] = in[32 * step + lane];
        // The first commit of the next step comes too late for this one's consumers.
        if (step == 2) ring[(step + 1) % 2][lane] = 0;
      } else {
        cuda::memcpy_async(&ring[step % 2][lane], &in[32 * step + lane], sizeof(unsigned), pipeline);
      }
      pipeline.producer_commit();
    } else {
      if constexpr (kFault != 1) pipeline.consumer_wait();
      out[32 * step + lane] = ring[step % 2][31 - lane];
      if (kFault != 2 || step != 1) pipeline.consumer_release();
    }
  }
}
