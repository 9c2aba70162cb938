#pragma once

#include <cuda.h>

#include <cstddef>

/// What the driver was last asked to encode.
struct FakeTensorMap {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  cuuint32_t rank = 0;
  void* address = nullptr;
  cuuint64_t sizes[4] = {};
  cuuint64_t strides[3] = {};
  cuuint32_t box[4] = {};
  cuuint32_t steps[4] = {};
  CUtensorMapInterleave interleave = CU_TENSOR_MAP_INTERLEAVE_16B;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;
  CUtensorMapFloatOOBfill outside = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
};

/// Every byte of what it gives for it.
inline constexpr std::byte kFakeEncoding{0x5a};

/// What the fake driver is to be, and what it was asked to do. One per process: tests reset it first.
struct FakeCuda {
  // Set by the test.
  int driver_version = 13000;
  int devices = 1;
  int capability = 90;
  int shared_bytes_optin = 232448;
  const char* missing = "";         // a symbol that this driver lacks
  const char* failing = "";         // a call that fails …
  CUresult failure = CUDA_SUCCESS;  // … with this
  CUstream captured = nullptr;      // a stream that is captured; the default stream waits for it

  // Seen by the driver.
  int context_pushes = 0;
  int context_pops = 0;
  int retains = 0;
  int releases = 0;
  int libraries_loaded = 0;
  int libraries_unloaded = 0;
  int functions_loaded = 0;
  int allocations_alive = 0;
  int synchronisations = 0;
  int launches = 0;
  int encodings = 0;
  int calls_without_context = 0;
  int opted_in_shared_bytes = 0;
  char entry[128] = {};
  unsigned grid[3] = {};
  unsigned block[3] = {};
  unsigned shared_bytes = 0;
  CUstream stream = nullptr;
  unsigned char parameter[64] = {};
  std::size_t parameter_bytes = 0;  // how many of them a launch gives: the real driver knows it of the kernel
  FakeTensorMap tensor_map;
};

/// Where the library keeps it; null-free once the library is opened.
using FakeCudaState = FakeCuda* (*)();
/// What the calling thread's current context is, as another user of the driver would set it.
using FakeCudaSetContext = void (*)(CUcontext);
using FakeCudaGetContext = CUcontext (*)();
