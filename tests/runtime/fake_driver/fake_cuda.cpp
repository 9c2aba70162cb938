// A libcuda.so.1 without a GPU: keeps "device" memory on the host, and writes down what it is asked to do.
#include "fake_cuda.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

FakeCuda state;
thread_local std::vector<CUcontext> contexts;

int primary_context_object = 0;
CUcontext primary_context() {
  return reinterpret_cast<CUcontext>(&primary_context_object);
}

/// The result of a call: the failure that the test ordered, or success.
CUresult result_of(const char* call) {
  return std::strcmp(state.failing, call) == 0 ? state.failure : CUDA_SUCCESS;
}

/// The same for a call that needs a current context.
CUresult in_context(const char* call) {
  if (contexts.empty() || contexts.back() != primary_context()) {
    ++state.calls_without_context;
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return result_of(call);
}

CUresult init(unsigned) {
  return result_of("cuInit");
}
CUresult driver_version(int* version) {
  return *version = state.driver_version, result_of("cuDriverGetVersion");
}
CUresult error_name(CUresult error, const char** name) {
  *name = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == CUDA_ERROR_NO_DEVICE   ? "CUDA_ERROR_NO_DEVICE"
                                            : nullptr;
  return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult error_string(CUresult error, const char** words) {
  *words = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : nullptr;
  return *words ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult device_count(int* count) {
  return *count = state.devices, result_of("cuDeviceGetCount");
}
CUresult device_get(CUdevice* device, int ordinal) {
  return *device = ordinal, result_of("cuDeviceGet");
}
CUresult device_name(char* name, int length, CUdevice) {
  std::strncpy(name, "Fake GPU", static_cast<std::size_t>(length));
  return result_of("cuDeviceGetName");
}
CUresult total_mem(std::size_t* bytes, CUdevice) {
  return *bytes = std::size_t{1} << 34, result_of("cuDeviceTotalMem");
}
CUresult attribute(int* value, CUdevice_attribute which, CUdevice) {
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = state.capability / 10;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = state.capability % 10;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = 132;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = state.shared_bytes_optin;
      break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = 50 << 20;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  return result_of("cuDeviceGetAttribute");
}
CUresult retain(CUcontext* context, CUdevice) {
  const CUresult result = result_of("cuDevicePrimaryCtxRetain");
  if (result == CUDA_SUCCESS) {
    ++state.retains;
    *context = primary_context();
  }
  return result;
}
CUresult release_primary(CUdevice) {
  return ++state.releases, CUDA_SUCCESS;
}
CUresult get_current(CUcontext* context) {
  *context = contexts.empty() ? nullptr : contexts.back();
  return result_of("cuCtxGetCurrent");
}
CUresult push_current(CUcontext context) {
  const CUresult result = result_of("cuCtxPushCurrent");
  if (result == CUDA_SUCCESS) {
    ++state.context_pushes;
    contexts.push_back(context);
  }
  return result;
}
CUresult pop_current(CUcontext* context) {
  ++state.context_pops;
  *context = contexts.back();
  contexts.pop_back();
  return CUDA_SUCCESS;
}
CUresult mem_alloc(CUdeviceptr* pointer, std::size_t bytes) {
  const CUresult result = in_context("cuMemAlloc");
  if (result != CUDA_SUCCESS) return result;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  ++state.allocations_alive;
  *pointer = reinterpret_cast<CUdeviceptr>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  return CUDA_SUCCESS;
}
CUresult mem_free(CUdeviceptr pointer) {
  --state.allocations_alive;
  std::free(reinterpret_cast<void*>(pointer));
  return in_context("cuMemFree");
}
CUresult to_device(CUdeviceptr destination, const void* source, std::size_t bytes, CUstream) {
  const CUresult result = in_context("cuMemcpyHtoDAsync");
  if (result == CUDA_SUCCESS) std::memcpy(reinterpret_cast<void*>(destination), source, bytes);
  return result;
}
CUresult to_host(void* destination, CUdeviceptr source, std::size_t bytes, CUstream) {
  const CUresult result = in_context("cuMemcpyDtoHAsync");
  if (result == CUDA_SUCCESS) std::memcpy(destination, reinterpret_cast<const void*>(source), bytes);
  return result;
}
CUresult set_bytes(CUdeviceptr destination, unsigned char value, std::size_t bytes, CUstream) {
  const CUresult result = in_context("cuMemsetD8Async");
  if (result == CUDA_SUCCESS) std::memset(reinterpret_cast<void*>(destination), value, bytes);
  return result;
}
CUresult stream_synchronize(CUstream) {
  return ++state.synchronisations, in_context("cuStreamSynchronize");
}
CUresult stream_is_capturing(CUstream stream, CUstreamCaptureStatus* status) {
  if (state.captured && !stream) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  *status =
      state.captured && stream == state.captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return in_context("cuStreamIsCapturing");
}
CUresult set_attribute(CUfunction, CUfunction_attribute which, int value) {
  if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) state.opted_in_shared_bytes = value;
  return in_context("cuFuncSetAttribute");
}
CUresult launch(CUfunction, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y, unsigned block_z,
                unsigned shared_bytes, CUstream stream, void** parameters, void**) {
  const CUresult result = in_context("cuLaunchKernel");
  if (result != CUDA_SUCCESS) return result;
  ++state.launches;
  state.grid[0] = x, state.grid[1] = y, state.grid[2] = z;
  state.block[0] = block_x, state.block[1] = block_y, state.block[2] = block_z;
  state.shared_bytes = shared_bytes;
  state.stream = stream;
  std::memcpy(state.parameter, parameters[0], std::min(state.parameter_bytes, sizeof state.parameter));
  return CUDA_SUCCESS;
}
CUresult library_load(CUlibrary* library, const void*, CUjit_option*, void**, unsigned, CUlibraryOption*, void**,
                      unsigned) {
  const CUresult result = in_context("cuLibraryLoadData");
  if (result == CUDA_SUCCESS) {
    ++state.libraries_loaded;
    *library = reinterpret_cast<CUlibrary>(&state);
  }
  return result;
}
CUresult library_unload(CUlibrary) {
  return ++state.libraries_unloaded, CUDA_SUCCESS;
}
CUresult library_kernel(CUkernel* kernel, CUlibrary, const char* name) {
  std::strncpy(state.entry, name, sizeof state.entry - 1);
  *kernel = reinterpret_cast<CUkernel>(&state);
  return result_of("cuLibraryGetKernel");
}
CUresult kernel_function(CUfunction* function, CUkernel) {
  *function = reinterpret_cast<CUfunction>(&state);
  return in_context("cuKernelGetFunction");
}
CUresult function_load(CUfunction) {
  return ++state.functions_loaded, in_context("cuFuncLoad");
}

CUresult encode_tiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                      const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                      const cuuint32_t* steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                      CUtensorMapL2promotion, CUtensorMapFloatOOBfill outside) {
  const CUresult result = result_of("cuTensorMapEncodeTiled");
  if (result != CUDA_SUCCESS || rank != 4) return result != CUDA_SUCCESS ? result : CUDA_ERROR_INVALID_VALUE;
  ++state.encodings;
  FakeTensorMap& seen = state.tensor_map;
  seen.type = type;
  seen.rank = rank;
  seen.address = address;
  std::copy_n(sizes, rank, seen.sizes);
  std::copy_n(strides, rank - 1, seen.strides);
  std::copy_n(box, rank, seen.box);
  std::copy_n(steps, rank, seen.steps);
  seen.interleave = interleave;
  seen.swizzle = swizzle;
  seen.outside = outside;
  std::memset(map, static_cast<int>(kFakeEncoding), sizeof *map);
  return CUDA_SUCCESS;
}

struct Symbol {
  const char* name;
  int since;  // the first release with this signature
  void* address;
};

template <typename Function>
void* address_of(Function* function) {
  return reinterpret_cast<void*>(function);
}

void* find(const char* name, int release) {
  static const Symbol symbols[] = {
      {"cuInit", 2000, address_of(init)},
      {"cuDriverGetVersion", 2020, address_of(driver_version)},
      {"cuGetErrorName", 6000, address_of(error_name)},
      {"cuGetErrorString", 6000, address_of(error_string)},
      {"cuDeviceGetCount", 2000, address_of(device_count)},
      {"cuDeviceGet", 2000, address_of(device_get)},
      {"cuDeviceGetName", 2000, address_of(device_name)},
      {"cuDeviceTotalMem", 3020, address_of(total_mem)},
      {"cuDeviceGetAttribute", 2000, address_of(attribute)},
      {"cuDevicePrimaryCtxRetain", 7000, address_of(retain)},
      {"cuDevicePrimaryCtxRelease", 11000, address_of(release_primary)},
      {"cuCtxGetCurrent", 4000, address_of(get_current)},
      {"cuCtxPushCurrent", 4000, address_of(push_current)},
      {"cuCtxPopCurrent", 4000, address_of(pop_current)},
      {"cuMemAlloc", 3020, address_of(mem_alloc)},
      {"cuMemFree", 3020, address_of(mem_free)},
      {"cuMemcpyHtoDAsync", 3020, address_of(to_device)},
      {"cuMemcpyDtoHAsync", 3020, address_of(to_host)},
      {"cuMemsetD8Async", 3020, address_of(set_bytes)},
      {"cuStreamSynchronize", 2000, address_of(stream_synchronize)},
      {"cuStreamIsCapturing", 10000, address_of(stream_is_capturing)},
      {"cuFuncSetAttribute", 9000, address_of(set_attribute)},
      {"cuLaunchKernel", 4000, address_of(launch)},
      {"cuLibraryLoadData", 12000, address_of(library_load)},
      {"cuLibraryUnload", 12000, address_of(library_unload)},
      {"cuLibraryGetKernel", 12000, address_of(library_kernel)},
      {"cuKernelGetFunction", 12000, address_of(kernel_function)},
      {"cuFuncLoad", 12040, address_of(function_load)},
      {"cuTensorMapEncodeTiled", 12000, address_of(encode_tiled)},
  };
  for (const Symbol& symbol : symbols)
    if (std::strcmp(symbol.name, name) == 0 && std::strcmp(state.missing, name) != 0 && symbol.since <= release &&
        symbol.since <= state.driver_version)
      return symbol.address;
  return nullptr;
}

}  // namespace

extern "C" {

#ifndef FAKE_CUDA_WITHOUT_STATUS
__attribute__((visibility("default"))) CUresult cuGetProcAddress_v2(const char* name, void** address, int release,
                                                                    cuuint64_t,
                                                                    CUdriverProcAddressQueryResult* status) {
  *address = find(name, release);
  *status = *address ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *address ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
#else
// As drivers before CUDA 12.0 export it; cuda.h renames the call, so the name is spelled for the linker.
CUresult lookup_without_status(const char* name, void** address, int release, cuuint64_t) __asm__("cuGetProcAddress");
__attribute__((visibility("default"))) CUresult lookup_without_status(const char* name, void** address, int release,
                                                                      cuuint64_t) {
  *address = find(name, release);
  return *address ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
#endif

__attribute__((visibility("default"))) FakeCuda* fake_cuda_state() {
  return &state;
}
__attribute__((visibility("default"))) void fake_cuda_set_context(CUcontext context) {
  contexts.clear();
  if (context) contexts.push_back(context);
}
__attribute__((visibility("default"))) CUcontext fake_cuda_get_context() {
  return contexts.empty() ? nullptr : contexts.back();
}

}  // extern "C"
