#include "runtime/device/cuda_device.h"

#include <fmt/format.h>

#include <cstring>
#include <typeinfo>
#include <utility>

#include "flashmask/error.h"
#include "runtime/device/tensor_box.h"

namespace flashmask {
namespace {

/// Dynamic shared memory that a kernel may use without asking for it.
constexpr std::uint32_t kSharedBytesWithoutOptIn = 48 * 1024;

/// The primary context of one GPU, shared with everybody else in the process who uses it (PyTorch, the CUDA runtime).
class PrimaryContext {
 public:
  PrimaryContext(const CudaDriver& driver, CUdevice device) : driver_(driver), device_(device) {
    driver_.check(driver_.primary_context_retain(&context_, device_), "cuDevicePrimaryCtxRetain",
                  "retaining the primary context");
  }
  // At the end of the process the driver may be gone before us; what it says then does not matter.
  ~PrimaryContext() { driver_.primary_context_release(device_); }
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;

  const CudaDriver& driver() const { return driver_; }
  CUcontext get() const { return context_; }

 private:
  const CudaDriver& driver_;
  CUdevice device_;
  CUcontext context_ = nullptr;
};

/// Makes a context current for a scope and leaves the thread as it was. Costs one cheap query where the context is
/// current already, which is the usual case.
class CurrentContext {
 public:
  explicit CurrentContext(const PrimaryContext& context) : driver_(context.driver()) {
    CUcontext current = nullptr;
    driver_.check(driver_.context_get_current(&current), "cuCtxGetCurrent", "looking for the current context");
    if (current == context.get()) return;
    driver_.check(driver_.context_push_current(context.get()), "cuCtxPushCurrent", "making the context current");
    pushed_ = true;
  }
  ~CurrentContext() {
    CUcontext ignored = nullptr;
    if (pushed_) driver_.context_pop_current(&ignored);
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const CudaDriver& driver_;
  bool pushed_ = false;
};

class CudaKernel final : public LoadedKernel {
 public:
  CudaKernel(std::shared_ptr<const PrimaryContext> context, const KernelImage& image, const std::string& entry,
             std::uint32_t shared_bytes)
      : context_(std::move(context)) {
    const CudaDriver& driver = context_->driver();
    const auto load = driver.require(driver.library_load_data, "cuLibraryLoadData", "12.0");
    const auto get_kernel = driver.require(driver.library_get_kernel, "cuLibraryGetKernel", "12.0");
    const auto get_function = driver.require(driver.kernel_get_function, "cuKernelGetFunction", "12.0");
    driver.require(driver.library_unload, "cuLibraryUnload", "12.0");

    const CurrentContext current(*context_);
    driver.check(load(&library_, image.cubin.data(), nullptr, nullptr, 0, nullptr, nullptr, 0), "cuLibraryLoadData",
                 fmt::format("loading the cubin of {}", entry));
    try {
      CUkernel kernel = nullptr;
      driver.check(get_kernel(&kernel, library_, entry.c_str()), "cuLibraryGetKernel",
                   fmt::format("looking for {}", entry));
      driver.check(get_function(&function_, kernel), "cuKernelGetFunction", fmt::format("loading {}", entry));
      if (shared_bytes > kSharedBytesWithoutOptIn)
        driver.check(driver.function_set_attribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                   static_cast<int>(shared_bytes)),
                     "cuFuncSetAttribute", fmt::format("giving {} {} bytes of shared memory", entry, shared_bytes));
      // Now, not at the first launch: that one may be inside of graph capture, where loading fails.
      if (driver.function_load)
        driver.check(driver.function_load(function_), "cuFuncLoad", fmt::format("loading {}", entry));
    } catch (...) {
      driver.library_unload(library_);
      throw;
    }
  }
  ~CudaKernel() override {
    const CudaDriver& driver = context_->driver();
    driver.library_unload(library_);
  }

  CUfunction function() const { return function_; }
  const PrimaryContext* context() const { return context_.get(); }

 private:
  std::shared_ptr<const PrimaryContext> context_;
  CUlibrary library_ = nullptr;
  CUfunction function_ = nullptr;
};

/// Two events of the GPU.
class CudaTimer final : public DeviceTimer {
 public:
  explicit CudaTimer(std::shared_ptr<const PrimaryContext> context) : context_(std::move(context)) {
    const CudaDriver& driver = context_->driver();
    const auto create = driver.require(driver.event_create, "cuEventCreate", "2.0");
    driver.require(driver.event_destroy, "cuEventDestroy", "4.0");
    driver.require(driver.event_record, "cuEventRecord", "2.0");
    driver.require(driver.event_synchronize, "cuEventSynchronize", "2.0");
    driver.require(driver.event_elapsed_time, "cuEventElapsedTime", "2.0");
    const CurrentContext current(*context_);
    driver.check(create(&start_, CU_EVENT_DEFAULT), "cuEventCreate", "making a timer");
    if (const CUresult result = create(&stop_, CU_EVENT_DEFAULT); result != CUDA_SUCCESS) {
      driver.event_destroy(start_);
      driver.check(result, "cuEventCreate", "making a timer");
    }
  }
  ~CudaTimer() override {
    try {
      const CurrentContext current(*context_);
      context_->driver().event_destroy(start_);
      context_->driver().event_destroy(stop_);
    } catch (const Error&) {
      // A context that cannot be made current any more has lost its events already.
    }
  }

  void start(Stream stream) override { record(start_, stream); }
  void stop(Stream stream) override { record(stop_, stream); }

  double seconds() override {
    const CudaDriver& driver = context_->driver();
    const CurrentContext current(*context_);
    driver.check(driver.event_synchronize(stop_), "cuEventSynchronize", "waiting for a timer");
    float milliseconds = 0;
    driver.check(driver.event_elapsed_time(&milliseconds, start_, stop_), "cuEventElapsedTime", "reading a timer");
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  void record(CUevent event, Stream stream) {
    const CurrentContext current(*context_);
    context_->driver().check(context_->driver().event_record(event, static_cast<CUstream>(stream)), "cuEventRecord",
                             "recording a timer's event");
  }

  std::shared_ptr<const PrimaryContext> context_;
  CUevent start_ = nullptr;
  CUevent stop_ = nullptr;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(const CudaDriver& driver, int ordinal) : driver_(driver) {
    if (ordinal < 0 || ordinal >= driver_.device_count())
      throw Error(ErrorCode::kNotFound,
                  fmt::format("GPU {} does not exist: there are {}, numbered from 0", ordinal, driver_.device_count()),
                  "Name an existing GPU; CUDA_VISIBLE_DEVICES may hide some.");
    CUdevice device = 0;
    driver_.check(driver_.device_get(&device, ordinal), "cuDeviceGet", fmt::format("opening GPU {}", ordinal));
    const auto attribute = [&](CUdevice_attribute which) {
      int value = 0;
      driver_.check(driver_.device_get_attribute(&value, which, device), "cuDeviceGetAttribute",
                    fmt::format("asking GPU {} for attribute {}", ordinal, static_cast<int>(which)));
      return value;
    };
    char name[256] = {};
    driver_.check(driver_.device_get_name(name, sizeof name - 1, device), "cuDeviceGetName",
                  "asking for the GPU's name");
    std::size_t memory = 0;
    driver_.check(driver_.device_total_mem(&memory, device), "cuDeviceTotalMem", "asking for the GPU's memory");
    properties_.kind = DeviceKind::kCuda;
    properties_.name = name;
    properties_.ordinal = ordinal;
    properties_.target = target_for_capability(10 * attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                                               attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
    properties_.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    properties_.shared_bytes_per_block =
        static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
    properties_.memory_bytes = memory;
    properties_.l2_bytes = static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
    properties_.driver = driver_.version_text();
    char bus_id[32] = {};
    if (driver_.device_get_pci_bus_id &&
        driver_.device_get_pci_bus_id(bus_id, sizeof bus_id - 1, device) == CUDA_SUCCESS)
      properties_.pci_bus_id = bus_id;
    context_ = std::make_shared<const PrimaryContext>(driver_, device);
  }

  const DeviceProperties& properties() const override { return properties_; }

  DevicePointer allocate(std::size_t bytes) override {
    const CurrentContext current(*context_);
    CUdeviceptr pointer = 0;
    // The driver refuses an empty allocation; a tensor without elements has an address all the same.
    const CUresult result = driver_.mem_alloc(&pointer, bytes ? bytes : 1);
    if (result != CUDA_SUCCESS)
      driver_.check(result, "cuMemAlloc", fmt::format("allocating {} bytes on {}", bytes, properties_.name));
    return pointer;
  }

  void release(DevicePointer pointer) noexcept override {
    if (!pointer) return;
    try {
      const CurrentContext current(*context_);
      driver_.mem_free(pointer);
    } catch (const Error&) {
      // A context that cannot be made current any more has lost its memory already.
    }
  }

  void copy_to_device(DevicePointer destination, std::span<const std::byte> source, Stream stream) override {
    if (source.empty()) return;
    const CurrentContext current(*context_);
    driver_.check(driver_.copy_to_device(destination, source.data(), source.size(), stream_of(stream)),
                  "cuMemcpyHtoDAsync", "copying to the GPU");
    finish(stream, "copying to the GPU");
  }

  void copy_to_host(std::span<std::byte> destination, DevicePointer source, Stream stream) override {
    if (destination.empty()) return;
    const CurrentContext current(*context_);
    driver_.check(driver_.copy_to_host(destination.data(), source, destination.size(), stream_of(stream)),
                  "cuMemcpyDtoHAsync", "copying from the GPU");
    finish(stream, "copying from the GPU");
  }

  void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream stream) override {
    if (bytes == 0) return;
    const CurrentContext current(*context_);
    driver_.check(driver_.set_bytes(destination, value, bytes, stream_of(stream)), "cuMemsetD8Async",
                  "filling memory of the GPU");
  }

  void synchronize(Stream stream) override {
    const CurrentContext current(*context_);
    finish(stream, "waiting for the stream");
  }

  bool is_capturing(Stream stream) const override {
    if (!driver_.stream_is_capturing) return false;
    const CurrentContext current(*context_);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    const CUresult result = driver_.stream_is_capturing(stream_of(stream), &status);
    // The default stream is never captured itself, but waits for streams that are.
    if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT) return true;
    driver_.check(result, "cuStreamIsCapturing", "asking whether the stream is captured");
    return status != CU_STREAM_CAPTURE_STATUS_NONE;
  }

  std::unique_ptr<DeviceTimer> make_timer() const override { return std::make_unique<CudaTimer>(context_); }

  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override {
    if (shared_bytes > properties_.shared_bytes_per_block)
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{} needs {} bytes of shared memory per block: {} allows {}", entry, shared_bytes,
                              properties_.name, properties_.shared_bytes_per_block),
                  "Use a smaller tile configuration.");
    return std::make_shared<CudaKernel>(context_, image, entry, shared_bytes);
  }

  EncodedTensorMap encode(const TensorBox& box) const override {
    if (const std::string rule = broken_rule(box); !rule.empty()) throw Error(ErrorCode::kInvalidArgument, rule);
    static_assert(sizeof(CUtensorMap) == sizeof(EncodedTensorMap));
    const auto encode_tiled = driver_.require(driver_.tensor_map_encode_tiled, "cuTensorMapEncodeTiled", "12.0");
    const BoxStrides strides = strides_in_bytes(box);
    // The driver checks the address in the context of the thread.
    const CurrentContext current(*context_);
    constexpr cuuint32_t kRank = 4;
    const cuuint64_t sizes[kRank] = {static_cast<cuuint64_t>(box.columns), static_cast<cuuint64_t>(box.seqlen),
                                     static_cast<cuuint64_t>(box.heads), static_cast<cuuint64_t>(box.batch)};
    const cuuint64_t of_dimensions[kRank - 1] = {strides.seqlen, strides.heads, strides.batch};
    const cuuint32_t extents[kRank] = {static_cast<cuuint32_t>(box.box_columns), static_cast<cuuint32_t>(box.box_rows),
                                       1, 1};
    const cuuint32_t steps[kRank] = {1, 1, 1, 1};
    const CUtensorMapSwizzle swizzle = box.box_columns == 64   ? CU_TENSOR_MAP_SWIZZLE_128B
                                       : box.box_columns == 32 ? CU_TENSOR_MAP_SWIZZLE_64B
                                                               : CU_TENSOR_MAP_SWIZZLE_32B;
    CUtensorMap map;
    driver_.check(encode_tiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT16, kRank, reinterpret_cast<void*>(box.data), sizes,
                               of_dimensions, extents, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                  "cuTensorMapEncodeTiled", "encoding a tensor map");
    EncodedTensorMap encoded;
    std::memcpy(encoded.bytes.data(), &map, sizeof map);
    return encoded;
  }

  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    if (typeid(kernel) != typeid(CudaKernel))
      throw Error(ErrorCode::kInvalidArgument, "the kernel was loaded on another kind of device");
    const auto& loaded = static_cast<const CudaKernel&>(kernel);
    if (loaded.context() != context_.get())
      throw Error(ErrorCode::kInvalidArgument, "the kernel was loaded on another GPU");
    const CurrentContext current(*context_);
    void* parameters[] = {const_cast<std::byte*>(parameter.data())};
    driver_.check(
        driver_.launch_kernel(loaded.function(), geometry.grid[0], geometry.grid[1], geometry.grid[2], geometry.block,
                              1, 1, geometry.shared_bytes, stream_of(stream), parameters, nullptr),
        "cuLaunchKernel", "launching a kernel");
  }

 private:
  static CUstream stream_of(Stream stream) { return static_cast<CUstream>(stream); }
  void finish(Stream stream, const char* doing) {
    driver_.check(driver_.stream_synchronize(stream_of(stream)), "cuStreamSynchronize", doing);
  }

  const CudaDriver& driver_;
  DeviceProperties properties_;
  std::shared_ptr<const PrimaryContext> context_;
};

}  // namespace

Target target_for_capability(int compute_capability) {
  // The one architecture whose own instructions have kernels.
  if (compute_capability == 90) return Target{90, true};
  for (int minor = compute_capability % 10; minor >= 0; --minor)
    if (auto target = parse_target(fmt::format("sm_{}", compute_capability / 10 * 10 + minor))) return *target;
  return Target{compute_capability, false};
}

std::shared_ptr<Device> open_cuda_device(const CudaDriver& driver, int ordinal) {
  return std::make_shared<CudaDevice>(driver, ordinal);
}

std::shared_ptr<Device> open_cuda_device(int ordinal) {
  return open_cuda_device(CudaDriver::get(), ordinal);
}

}  // namespace flashmask
