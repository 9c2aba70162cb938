#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include <string>

#include "runtime/device/shared_library.h"

namespace flashmask {

/// The driver's library, opened at run time, and its functions, resolved one by one. What an old driver lacks is null
/// and fails only what needs it: require() then names the symbol and the release that brought it. Immutable once
/// opened; thread-safe, and kept for the life of the process.
class CudaDriver {
 public:
  /// The driver of this process, opened and initialised by the first call that succeeds. Throws Error{kNotFound} if
  /// there is no driver, it lacks a function that everything needs, or it finds no GPU.
  static const CudaDriver& get();
  /// The same for a library of this name (a soname or a path), every time anew; for get() and for tests.
  static CudaDriver open(const std::string& library);

  // What every device needs.
  PFN_cuInit_v2000 init = nullptr;
  PFN_cuDriverGetVersion_v2020 driver_get_version = nullptr;
  PFN_cuGetErrorName_v6000 get_error_name = nullptr;
  PFN_cuGetErrorString_v6000 get_error_string = nullptr;
  PFN_cuDeviceGetCount_v2000 device_get_count = nullptr;
  PFN_cuDeviceGet_v2000 device_get = nullptr;
  PFN_cuDeviceGetName_v2000 device_get_name = nullptr;
  PFN_cuDeviceTotalMem_v3020 device_total_mem = nullptr;
  PFN_cuDeviceGetAttribute_v2000 device_get_attribute = nullptr;
  PFN_cuDevicePrimaryCtxRetain_v7000 primary_context_retain = nullptr;
  PFN_cuDevicePrimaryCtxRelease_v11000 primary_context_release = nullptr;
  PFN_cuCtxGetCurrent_v4000 context_get_current = nullptr;
  PFN_cuCtxPushCurrent_v4000 context_push_current = nullptr;
  PFN_cuCtxPopCurrent_v4000 context_pop_current = nullptr;
  PFN_cuMemAlloc_v3020 mem_alloc = nullptr;
  PFN_cuMemFree_v3020 mem_free = nullptr;
  PFN_cuMemcpyHtoDAsync_v3020 copy_to_device = nullptr;
  PFN_cuMemcpyDtoHAsync_v3020 copy_to_host = nullptr;
  PFN_cuMemsetD8Async_v3020 set_bytes = nullptr;
  PFN_cuStreamSynchronize_v2000 stream_synchronize = nullptr;
  PFN_cuFuncSetAttribute_v9000 function_set_attribute = nullptr;
  PFN_cuLaunchKernel_v4000 launch_kernel = nullptr;

  // For timers, and for telling which GPU it is to others.
  PFN_cuDeviceGetPCIBusId_v4010 device_get_pci_bus_id = nullptr;
  PFN_cuEventCreate_v2000 event_create = nullptr;
  PFN_cuEventDestroy_v4000 event_destroy = nullptr;
  PFN_cuEventRecord_v2000 event_record = nullptr;
  PFN_cuEventSynchronize_v2000 event_synchronize = nullptr;
  PFN_cuEventElapsedTime_v2000 event_elapsed_time = nullptr;

  // Null with a driver that lacks it: no stream counts as captured then.
  PFN_cuStreamIsCapturing_v10000 stream_is_capturing = nullptr;

  // Since 12.0: null with an older driver, which cannot load a kernel then.
  PFN_cuLibraryLoadData_v12000 library_load_data = nullptr;
  PFN_cuLibraryUnload_v12000 library_unload = nullptr;
  PFN_cuLibraryGetKernel_v12000 library_get_kernel = nullptr;
  PFN_cuKernelGetFunction_v12000 kernel_get_function = nullptr;
  PFN_cuTensorMapEncodeTiled_v12000 tensor_map_encode_tiled = nullptr;

  // Since 12.4: loads a kernel before its first launch. Without it a kernel may be loaded lazily, which fails inside of
  // graph capture. Written out, as the headers of CUDA 12.0 have no name for it.
  CUresult(CUDAAPI* function_load)(CUfunction function) = nullptr;

  int version() const { return version_; }
  /// "13.0".
  std::string version_text() const;
  const std::string& path() const { return path_; }
  int device_count() const { return device_count_; }

  /// Throws Error{kDevice} unless `result` is a success: what was being done, the call, the code's name and its words.
  void check(CUresult result, const char* call, const std::string& doing) const {
    if (result != CUDA_SUCCESS) [[unlikely]]
      fail(result, call, doing);
  }
  void check(CUresult result, const char* call, const char* doing) const {
    if (result != CUDA_SUCCESS) [[unlikely]]
      fail(result, call, doing);
  }
  /// The function, which must not be null. Throws Error{kUnsupported} naming symbol, release and driver.
  template <typename Function>
  Function require(Function function, const char* symbol, const char* since) const {
    if (!function) lacks(symbol, since);
    return function;
  }

 private:
  explicit CudaDriver(SharedLibrary library) : library_(std::move(library)) {}
  [[noreturn]] void fail(CUresult result, const char* call, const std::string& doing) const;
  [[noreturn]] void lacks(const char* symbol, const char* since) const;
  void bind();

  SharedLibrary library_;
  std::string path_;
  int version_ = 0;
  int device_count_ = 0;
};

}  // namespace flashmask
