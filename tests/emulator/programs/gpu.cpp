#include "tests/emulator/programs/gpu.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "flashmask/error.h"
#include "runtime/device/cuda_driver.h"

namespace flashmask::emulator::programs {
namespace {

/// Bytes of the driver's complaint about a module.
constexpr std::size_t kLogBytes = 4096;

/// Device memory that releases itself.
class Buffer {
 public:
  Buffer(const CudaDriver& driver, std::size_t words) : driver_(driver), bytes_(words * sizeof(std::uint32_t)) {
    driver_.check(driver_.mem_alloc(&pointer_, bytes_), "cuMemAlloc", "allocating a buffer");
  }
  Buffer(Buffer&& other) noexcept
      : driver_(other.driver_), bytes_(other.bytes_), pointer_(std::exchange(other.pointer_, 0)) {}
  ~Buffer() {
    if (pointer_ != 0) driver_.mem_free(pointer_);
  }

  CUdeviceptr pointer() const { return pointer_; }
  void write(const Words& words) {
    driver_.check(driver_.copy_to_device(pointer_, words.data(), bytes_, nullptr), "cuMemcpyHtoDAsync", "writing");
  }
  Words read() const {
    Words words(bytes_ / sizeof(std::uint32_t));
    driver_.check(driver_.copy_to_host(words.data(), pointer_, bytes_, nullptr), "cuMemcpyDtoHAsync", "reading");
    driver_.check(driver_.stream_synchronize(nullptr), "cuStreamSynchronize", "waiting for the output");
    return words;
  }

 private:
  const CudaDriver& driver_;
  std::size_t bytes_;
  CUdeviceptr pointer_ = 0;
};

CUtensorMapSwizzle swizzle_of(TensorSwizzle swizzle) {
  switch (swizzle) {
    case TensorSwizzle::k32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case TensorSwizzle::k64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case TensorSwizzle::k128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    case TensorSwizzle::kNone:
      break;
  }
  return CU_TENSOR_MAP_SWIZZLE_NONE;
}

}  // namespace

struct Gpu::State {
  const CudaDriver& driver = CudaDriver::get();
  std::optional<SharedLibrary> library;  // for what CudaDriver does not bind
  PFN_cuLaunchKernelEx_v11060 launch = nullptr;
  PFN_cuTensorMapEncodeTiled_v12000 encode = nullptr;
  CUdevice device = 0;
  CUcontext context = nullptr;
  std::string name;
  int capability = 0;
  std::map<std::string, CUlibrary> modules;  ///< by their PTX

  State() {
    std::string why;
    library = SharedLibrary::open(driver.path(), why);
    if (!library) throw Error(ErrorCode::kNotFound, why);
    library->keep_loaded();
    launch = reinterpret_cast<PFN_cuLaunchKernelEx_v11060>(library->symbol("cuLaunchKernelEx"));
    encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(library->symbol("cuTensorMapEncodeTiled"));
    driver.require(launch, "cuLaunchKernelEx", "11.6");
    driver.require(encode, "cuTensorMapEncodeTiled", "12.0");
    driver.check(driver.device_get(&device, 0), "cuDeviceGet", "opening GPU 0");
    char text[256] = {};
    driver.check(driver.device_get_name(text, sizeof text - 1, device), "cuDeviceGetName", "asking for the name");
    name = text;
    int major = 0, minor = 0;
    driver.device_get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    driver.device_get_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    capability = 10 * major + minor;
    driver.check(driver.primary_context_retain(&context, device), "cuDevicePrimaryCtxRetain", "retaining the context");
    driver.check(driver.context_push_current(context), "cuCtxPushCurrent", "making the context current");
  }
  ~State() {
    for (const auto& [module, loaded] : modules) driver.library_unload(loaded);
    CUcontext ignored = nullptr;
    driver.context_pop_current(&ignored);
    driver.primary_context_release(device);
  }

  CUlibrary load(const Module& module) {
    const auto found = modules.find(module.ptx);
    if (found != modules.end()) return found->second;
    std::string log(kLogBytes, '\0');
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log.data(), reinterpret_cast<void*>(kLogBytes)};
    CUlibrary loaded = nullptr;
    const CUresult result =
        driver.library_load_data(&loaded, module.ptx.c_str(), options, values, 2, nullptr, nullptr, 0);
    driver.check(result, "cuLibraryLoadData", fmt::format("compiling a module ({})", log.c_str()));
    return modules[module.ptx] = loaded;
  }

  CUfunction function_of(const Module& module, const std::string& entry) {
    CUkernel kernel = nullptr;
    CUfunction function = nullptr;
    driver.check(driver.library_get_kernel(&kernel, load(module), entry.c_str()), "cuLibraryGetKernel",
                 fmt::format("looking for {}", entry));
    driver.check(driver.kernel_get_function(&function, kernel), "cuKernelGetFunction",
                 fmt::format("loading {}", entry));
    return function;
  }

  CUtensorMap encoded(const TensorMap& map, CUdeviceptr address) {
    CUtensorMap result;
    driver.check(
        // The enumeration of elements is in the driver's order.
        encode(
            &result, static_cast<CUtensorMapDataType>(map.element), map.rank, reinterpret_cast<void*>(address),
            map.sizes.data(), map.strides.data(), map.box.data(), map.element_strides.data(),
            CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(map.swizzle), CU_TENSOR_MAP_L2_PROMOTION_NONE,
            map.fills_with_nan ? CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA : CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
        "cuTensorMapEncodeTiled", "encoding a tensor map");
    return result;
  }
};

Gpu::Gpu() : state_(std::make_unique<State>()) {}
Gpu::~Gpu() = default;

const std::string& Gpu::name() const {
  return state_->name;
}

bool Gpu::runs(std::string_view architecture) const {
  return architecture.ends_with('a') ? fmt::format("{}a", state_->capability) == architecture
                                     : state_->capability >= std::stoi(std::string(architecture));
}

Words Gpu::run(const Module& module, const std::string& entry, const TestProgram& program, const Data& data) {
  const CudaDriver& driver = state_->driver;
  std::vector<Buffer> buffers;
  for (const Words& input : data.inputs) {
    buffers.emplace_back(driver, input.size());
    buffers.back().write(input);
  }
  buffers.emplace_back(driver, data.expected.size());
  if (!data.initial.empty()) buffers.back().write(data.initial);

  std::vector<CUtensorMap> maps;
  for (const MappedTensor& each : data.maps) maps.push_back(state_->encoded(each.map, buffers[each.buffer].pointer()));
  std::vector<CUdeviceptr> pointers;
  for (const Buffer& each : buffers) pointers.push_back(each.pointer());
  std::vector<void*> parameters;
  for (CUtensorMap& each : maps) parameters.push_back(&each);
  for (CUdeviceptr& each : pointers) parameters.push_back(&each);

  const LaunchShape& shape = program.shape;
  std::vector<CUlaunchAttribute> attributes;
  if (shape.cluster[0] * shape.cluster[1] * shape.cluster[2] > 1) {
    CUlaunchAttribute& cluster = attributes.emplace_back();
    cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    cluster.value.clusterDim = {shape.cluster[0], shape.cluster[1], shape.cluster[2]};
  }
  if (shape.cooperative) {
    CUlaunchAttribute& cooperative = attributes.emplace_back();
    cooperative.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    cooperative.value.cooperative = 1;
  }
  CUlaunchConfig config{};
  config.gridDimX = shape.grid[0];
  config.gridDimY = shape.grid[1];
  config.gridDimZ = shape.grid[2];
  config.blockDimX = shape.block[0];
  config.blockDimY = shape.block[1];
  config.blockDimZ = shape.block[2];
  config.sharedMemBytes = static_cast<unsigned>(shape.dynamic_shared_bytes);
  config.attrs = attributes.data();
  config.numAttrs = static_cast<unsigned>(attributes.size());
  driver.check(state_->launch(&config, state_->function_of(module, entry), parameters.data(), nullptr),
               "cuLaunchKernelEx", fmt::format("launching {}", program.name));
  return buffers.back().read();
}

}  // namespace flashmask::emulator::programs
