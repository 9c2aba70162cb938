#pragma once

#include <cuda.h>

#include <cstddef>

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
  int calls_without_context = 0;
  int opted_in_shared_bytes = 0;
  char entry[128] = {};
  unsigned grid[3] = {};
  unsigned block[3] = {};
  unsigned shared_bytes = 0;
  CUstream stream = nullptr;
  unsigned char parameter[64] = {};
};

/// Where the library keeps it; null-free once the library is opened.
using FakeCudaState = FakeCuda* (*)();
/// What the calling thread's current context is, as another user of the driver would set it.
using FakeCudaSetContext = void (*)(CUcontext);
using FakeCudaGetContext = CUcontext (*)();
