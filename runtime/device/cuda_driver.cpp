#include "runtime/device/cuda_driver.h"

#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <utility>

#include "flashmask/error.h"

namespace flashmask {
namespace {

constexpr const char* kSoname = "libcuda.so.1";
constexpr const char* kDriverHint =
    "Install NVIDIA's driver (and in a container start it with GPUs, e.g. --gpus all), or use the emulator.";

/// Symbols by cuGetProcAddress, which knows versions; dlsym may give an outdated ABI of the same name.
class Resolver {
 public:
  explicit Resolver(const SharedLibrary& library) : library_(library) {
    with_status_ = reinterpret_cast<PFN_cuGetProcAddress_v12000>(library.symbol("cuGetProcAddress_v2"));
    if (!with_status_)
      without_status_ = reinterpret_cast<PFN_cuGetProcAddress_v11030>(library.symbol("cuGetProcAddress"));
  }
  bool usable() const { return with_status_ || without_status_; }

  /// The function as of this release of CUDA, or null if the driver lacks it.
  void* find(const char* name, int release) const {
    void* address = nullptr;
    CUresult result = CUDA_ERROR_NOT_FOUND;
    if (with_status_) {
      CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
      result = with_status_(name, &address, release, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &status);
      if (status != CU_GET_PROC_ADDRESS_SUCCESS) return nullptr;
    } else if (without_status_) {
      result = without_status_(name, &address, release, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
    }
    return result == CUDA_SUCCESS ? address : nullptr;
  }

 private:
  const SharedLibrary& library_;
  PFN_cuGetProcAddress_v12000 with_status_ = nullptr;
  PFN_cuGetProcAddress_v11030 without_status_ = nullptr;
};

}  // namespace

void CudaDriver::bind() {
  const Resolver resolver(library_);
  if (!resolver.usable())
    throw Error(ErrorCode::kNotFound,
                fmt::format("{} has no cuGetProcAddress: the driver is older than CUDA 11.3", kSoname),
                "Update NVIDIA's driver to one of CUDA 12.0 or newer.");
  const auto optional = [&](auto& function, const char* name, int release) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(resolver.find(name, release));
  };
  std::string missing;
  const auto required = [&](auto& function, const char* name, int release) {
    optional(function, name, release);
    if (!function) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", name);
  };
  // The number is the release whose signature is declared in the header: 3020 asks for what cuda.h calls cuMemAlloc_v2.
  required(init, "cuInit", 2000);
  required(driver_get_version, "cuDriverGetVersion", 2020);
  required(get_error_name, "cuGetErrorName", 6000);
  required(get_error_string, "cuGetErrorString", 6000);
  required(device_get_count, "cuDeviceGetCount", 2000);
  required(device_get, "cuDeviceGet", 2000);
  required(device_get_name, "cuDeviceGetName", 2000);
  required(device_total_mem, "cuDeviceTotalMem", 3020);
  required(device_get_attribute, "cuDeviceGetAttribute", 2000);
  required(primary_context_retain, "cuDevicePrimaryCtxRetain", 7000);
  required(primary_context_release, "cuDevicePrimaryCtxRelease", 11000);
  required(context_get_current, "cuCtxGetCurrent", 4000);
  required(context_push_current, "cuCtxPushCurrent", 4000);
  required(context_pop_current, "cuCtxPopCurrent", 4000);
  required(mem_alloc, "cuMemAlloc", 3020);
  required(mem_free, "cuMemFree", 3020);
  required(copy_to_device, "cuMemcpyHtoDAsync", 3020);
  required(copy_to_host, "cuMemcpyDtoHAsync", 3020);
  required(set_bytes, "cuMemsetD8Async", 3020);
  required(stream_synchronize, "cuStreamSynchronize", 2000);
  required(function_set_attribute, "cuFuncSetAttribute", 9000);
  required(launch_kernel, "cuLaunchKernel", 4000);
  optional(device_get_pci_bus_id, "cuDeviceGetPCIBusId", 4010);
  optional(event_create, "cuEventCreate", 2000);
  optional(event_destroy, "cuEventDestroy", 4000);
  optional(event_record, "cuEventRecord", 2000);
  optional(event_synchronize, "cuEventSynchronize", 2000);
  optional(event_elapsed_time, "cuEventElapsedTime", 2000);
  optional(stream_is_capturing, "cuStreamIsCapturing", 10000);
  optional(library_load_data, "cuLibraryLoadData", 12000);
  optional(library_unload, "cuLibraryUnload", 12000);
  optional(library_get_kernel, "cuLibraryGetKernel", 12000);
  optional(kernel_get_function, "cuKernelGetFunction", 12000);
  optional(tensor_map_encode_tiled, "cuTensorMapEncodeTiled", 12000);
  optional(function_load, "cuFuncLoad", 12040);
  if (!missing.empty())
    throw Error(ErrorCode::kNotFound, fmt::format("the driver ({}) lacks {}", kSoname, missing),
                "Update NVIDIA's driver to one of CUDA 12.0 or newer.");
  path_ = SharedLibrary::path_of(reinterpret_cast<const void*>(init));
}

CudaDriver CudaDriver::open(const std::string& library) {
  std::string why;
  std::optional<SharedLibrary> opened = SharedLibrary::open(library, why);
  if (!opened) throw Error(ErrorCode::kNotFound, fmt::format("no CUDA driver: {}", why), kDriverHint);
  CudaDriver driver(std::move(*opened));
  // The driver keeps threads and handlers of its own, and frees itself at exit.
  driver.library_.keep_loaded();
  driver.bind();
  const auto start = [&](CUresult result, const char* call) {
    if (result == CUDA_SUCCESS) return;
    const char* name = nullptr;
    const char* words = nullptr;
    driver.get_error_name(result, &name);
    driver.get_error_string(result, &words);
    throw Error(
        ErrorCode::kNotFound,
        fmt::format("the CUDA driver ({}) finds no usable GPU: {} gave {} ({}, code {})", driver.path_, call,
                    name ? name : "an unknown error", words ? words : "no description", static_cast<int>(result)),
        kDriverHint);
  };
  start(driver.init(0), "cuInit");
  start(driver.driver_get_version(&driver.version_), "cuDriverGetVersion");
  start(driver.device_get_count(&driver.device_count_), "cuDeviceGetCount");
  if (driver.device_count_ == 0) start(CUDA_ERROR_NO_DEVICE, "cuDeviceGetCount");
  return driver;
}

const CudaDriver& CudaDriver::get() {
  static std::mutex mutex;
  // Never destroyed: devices in static storage may be released after it would be.
  static const CudaDriver* driver = nullptr;
  std::lock_guard lock(mutex);
  if (!driver) driver = new CudaDriver(open(kSoname));
  return *driver;
}

std::string CudaDriver::version_text() const {
  return fmt::format("{}.{}", version_ / 1000, version_ % 1000 / 10);
}

void CudaDriver::fail(CUresult result, const char* call, const std::string& doing) const {
  const char* name = nullptr;
  const char* words = nullptr;
  get_error_name(result, &name);
  get_error_string(result, &words);
  const bool out_of_memory = result == CUDA_ERROR_OUT_OF_MEMORY;
  throw Error(ErrorCode::kDevice,
              fmt::format("{} failed: {} gave {} ({}, code {})", doing, call, name ? name : "an unknown error",
                          words ? words : "no description", static_cast<int>(result)),
              out_of_memory ? "Free device memory, or use a smaller problem." : "");
}

void CudaDriver::lacks(const char* symbol, const char* since) const {
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("the driver ({}, CUDA {}) lacks {}, which came with CUDA {}", path_, version_text(), symbol, since),
      fmt::format("Update NVIDIA's driver to one of CUDA {} or newer.", since));
}

}  // namespace flashmask
