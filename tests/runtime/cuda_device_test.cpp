#include "runtime/device/cuda_device.h"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <cstring>
#include <thread>
#include <utility>

#include "fake_driver/fake_cuda.h"
#include "flashmask/error.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The fake driver, as new for each test. Its library stays loaded, as a driver's does.
class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override { use(FAKE_CUDA_LIBRARY); }
  void use(const char* library) {
    library_ = library;
    void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle, nullptr) << dlerror();
    fake_ = reinterpret_cast<FakeCudaState>(dlsym(handle, "fake_cuda_state"))();
    *fake_ = FakeCuda{};
    set_context_ = reinterpret_cast<FakeCudaSetContext>(dlsym(handle, "fake_cuda_set_context"));
    get_context_ = reinterpret_cast<FakeCudaGetContext>(dlsym(handle, "fake_cuda_get_context"));
    set_context_(nullptr);
  }
  CudaDriver open_driver() { return CudaDriver::open(library_); }

  template <typename Call>
  static Error error_of(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    throw std::logic_error("nothing was thrown");
  }
  static KernelImage image() {
    static const std::byte bytes[16] = {};
    return {bytes, {}};
  }

  const char* library_ = nullptr;
  FakeCuda* fake_ = nullptr;
  FakeCudaSetContext set_context_ = nullptr;
  FakeCudaGetContext get_context_ = nullptr;
};

TEST_F(CudaDeviceTest, WithoutADriverTheErrorSaysSoAndWhatToDo) {
  const Error error = error_of([] { CudaDriver::open("libcuda-of-nobody.so.1"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no CUDA driver"), HasSubstr("libcuda-of-nobody.so.1")));
  EXPECT_THAT(error.hint(), AllOf(HasSubstr("driver"), HasSubstr("emulator")));
}

TEST_F(CudaDeviceTest, ALibraryThatIsNoDriverIsRefused) {
  EXPECT_THAT(error_of([] { CudaDriver::open("libc.so.6"); }).what(), HasSubstr("cuGetProcAddress"));
}

TEST_F(CudaDeviceTest, ADriverWithoutGpusIsNotFoundAndNamesTheCall) {
  fake_->failing = "cuInit";
  fake_->failure = CUDA_ERROR_NO_DEVICE;
  const Error error = error_of([&] { open_driver(); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cuInit"), HasSubstr("CUDA_ERROR_NO_DEVICE"), HasSubstr("100")));
  fake_->failing = "";
  fake_->devices = 0;
  EXPECT_EQ(error_of([&] { open_driver(); }).code(), ErrorCode::kNotFound);
}

TEST_F(CudaDeviceTest, EveryMissingEssentialSymbolIsNamed) {
  for (const char* symbol : {"cuMemAlloc", "cuLaunchKernel", "cuCtxGetCurrent"}) {
    fake_->missing = symbol;
    EXPECT_THAT(error_of([&] { open_driver(); }).what(), HasSubstr(symbol));
  }
}

TEST_F(CudaDeviceTest, PropertiesComeFromTheGpu) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  const DeviceProperties& properties = device->properties();
  EXPECT_EQ(properties.kind, DeviceKind::kCuda);
  EXPECT_EQ(properties.name, "Fake GPU");
  EXPECT_EQ(properties.target, (Target{90, true}));
  EXPECT_EQ(properties.multiprocessors, 132);
  EXPECT_EQ(properties.shared_bytes_per_block, 232448u);
  EXPECT_EQ(properties.memory_bytes, std::size_t{1} << 34);
  EXPECT_EQ(properties.driver, "13.0");
}

TEST_F(CudaDeviceTest, AGpuThatDoesNotExistIsRefusedWithTheirNumber) {
  const CudaDriver driver = open_driver();
  EXPECT_THAT(error_of([&] { open_cuda_device(driver, 1); }).what(), HasSubstr("there are 1"));
  EXPECT_EQ(error_of([&] { open_cuda_device(driver, -1); }).code(), ErrorCode::kNotFound);
}

TEST_F(CudaDeviceTest, MemoryGoesThereAndBack) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  {
    const DeviceBuffer buffer(device, 8);
    const std::uint64_t sent = 0x0123456789abcdef;
    std::uint64_t received = 0;
    device->copy_to_device(buffer.get(), std::as_bytes(std::span(&sent, 1)), nullptr);
    device->copy_to_host(std::as_writable_bytes(std::span(&received, 1)), buffer.get(), nullptr);
    EXPECT_EQ(received, sent);
    EXPECT_EQ(fake_->synchronisations, 2);
    device->fill(buffer.get(), 7, 8, nullptr);
    device->copy_to_host(std::as_writable_bytes(std::span(&received, 1)), buffer.get(), nullptr);
    EXPECT_EQ(received, 0x0707070707070707u);
    const DevicePointer empty = device->allocate(0);
    EXPECT_NE(empty, 0u);
    EXPECT_EQ(fake_->allocations_alive, 2);
    device->release(empty);
  }
  EXPECT_EQ(fake_->allocations_alive, 0);
  EXPECT_EQ(fake_->calls_without_context, 0);
}

TEST_F(CudaDeviceTest, ALaunchReachesTheDriverWithItsGeometryAndParameter) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  const auto kernel = device->load(image(), "an_entry", 100000);
  EXPECT_STREQ(fake_->entry, "an_entry");
  EXPECT_EQ(fake_->opted_in_shared_bytes, 100000);
  EXPECT_EQ(fake_->functions_loaded, 1);
  std::byte parameter[64];
  for (int i = 0; i < 64; ++i) parameter[i] = static_cast<std::byte>(i);
  fake_->parameter_bytes = sizeof parameter;
  int stream = 0;
  device->launch(*kernel, {.grid = {5, 6, 7}, .block = 128, .shared_bytes = 100000}, parameter, &stream);
  EXPECT_EQ(fake_->launches, 1);
  EXPECT_THAT(fake_->grid, ElementsAre(5u, 6u, 7u));
  EXPECT_THAT(fake_->block, ElementsAre(128u, 1u, 1u));
  EXPECT_EQ(fake_->shared_bytes, 100000u);
  EXPECT_EQ(fake_->stream, reinterpret_cast<CUstream>(&stream));
  EXPECT_EQ(std::memcmp(fake_->parameter, parameter, 64), 0);
}

TEST_F(CudaDeviceTest, LittleSharedMemoryNeedsNoOptIn) {
  const CudaDriver driver = open_driver();
  open_cuda_device(driver, 0)->load(image(), "entry", 48 * 1024);
  EXPECT_EQ(fake_->opted_in_shared_bytes, 0);
}

TEST_F(CudaDeviceTest, MoreSharedMemoryThanTheGpuHasIsRefusedWithBothNumbers) {
  const CudaDriver driver = open_driver();
  const Error error = error_of([&] { open_cuda_device(driver, 0)->load(image(), "entry", 300000); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("300000"), HasSubstr("232448")));
}

TEST_F(CudaDeviceTest, TheCallersContextStaysCurrent) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  int other = 0;
  const auto others_context = reinterpret_cast<CUcontext>(&other);
  set_context_(others_context);
  const auto kernel = device->load(image(), "entry", 0);
  const std::byte parameter[64] = {};
  device->launch(*kernel, {}, parameter, nullptr);
  device->release(device->allocate(16));
  EXPECT_EQ(get_context_(), others_context);
  EXPECT_EQ(fake_->context_pushes, fake_->context_pops);
  EXPECT_EQ(fake_->calls_without_context, 0);
}

TEST_F(CudaDeviceTest, WhereTheContextIsCurrentNothingIsPushed) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  CUcontext primary = nullptr;
  driver.primary_context_retain(&primary, 0);
  set_context_(primary);
  const auto kernel = device->load(image(), "entry", 0);
  const std::byte parameter[64] = {};
  device->launch(*kernel, {}, parameter, nullptr);
  EXPECT_EQ(fake_->context_pushes, 0);
}

TEST_F(CudaDeviceTest, AThreadWithoutAContextMayLaunch) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  const auto kernel = device->load(image(), "entry", 0);
  std::thread([&] {
    const std::byte parameter[64] = {};
    device->launch(*kernel, {}, parameter, nullptr);
    EXPECT_EQ(get_context_(), nullptr);
  }).join();
  EXPECT_EQ(fake_->launches, 1);
}

TEST_F(CudaDeviceTest, AFailureNamesWhatWasDoneTheCallAndTheCode) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  fake_->failing = "cuMemAlloc";
  fake_->failure = CUDA_ERROR_OUT_OF_MEMORY;
  const Error error = error_of([&] { device->allocate(12345); });
  EXPECT_EQ(error.code(), ErrorCode::kDevice);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("12345 bytes on Fake GPU"), HasSubstr("cuMemAlloc"),
                    HasSubstr("CUDA_ERROR_OUT_OF_MEMORY"), HasSubstr("out of memory"), HasSubstr("code 2")));
  EXPECT_THAT(error.hint(), HasSubstr("memory"));
  EXPECT_EQ(get_context_(), nullptr);
  fake_->failing = "cuLaunchKernel";
  fake_->failure = static_cast<CUresult>(1000);
  const auto kernel = device->load(image(), "entry", 0);
  const std::byte parameter[64] = {};
  EXPECT_THAT(error_of([&] { device->launch(*kernel, {}, parameter, nullptr); }).what(),
              AllOf(HasSubstr("cuLaunchKernel"), HasSubstr("code 1000")));
}

TEST_F(CudaDeviceTest, AKernelThatCannotBeLoadedWhollyIsUnloaded) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  for (const char* call : {"cuLibraryGetKernel", "cuKernelGetFunction", "cuFuncSetAttribute", "cuFuncLoad"}) {
    fake_->failing = call;
    fake_->failure = CUDA_ERROR_OUT_OF_MEMORY;
    EXPECT_THAT(error_of([&] { device->load(image(), "entry", 100000); }).what(), HasSubstr(call));
    EXPECT_EQ(fake_->libraries_loaded, fake_->libraries_unloaded) << call;
  }
}

TEST_F(CudaDeviceTest, ADriverBefore12StillHasMemoryButNamesWhatLoadingNeeds) {
  fake_->driver_version = 11080;
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  EXPECT_EQ(device->properties().driver, "11.8");
  device->release(device->allocate(16));
  const Error error = error_of([&] { device->load(image(), "entry", 0); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cuLibraryLoadData"), HasSubstr("CUDA 11.8"), HasSubstr("12.0")));
  EXPECT_THAT(error.hint(), HasSubstr("12.0"));
}

TEST_F(CudaDeviceTest, ADriverBefore124LoadsWithoutTheEarlyLoad) {
  fake_->driver_version = 12020;
  const CudaDriver driver = open_driver();
  EXPECT_NE(open_cuda_device(driver, 0)->load(image(), "entry", 0), nullptr);
  EXPECT_EQ(fake_->functions_loaded, 0);
}

TEST_F(CudaDeviceTest, TheLookUpOfCuda113IsEnough) {
  use(FAKE_CUDA_11_LIBRARY);
  fake_->driver_version = 11040;
  const CudaDriver driver = open_driver();
  EXPECT_EQ(driver.version_text(), "11.4");
  EXPECT_EQ(driver.library_load_data, nullptr);
}

TEST_F(CudaDeviceTest, KernelsKeepTheContextThatTheyWereLoadedIn) {
  const CudaDriver driver = open_driver();
  auto device = open_cuda_device(driver, 0);
  auto kernel = device->load(image(), "entry", 0);
  device.reset();
  EXPECT_EQ(fake_->releases, 0);
  kernel.reset();
  EXPECT_EQ(fake_->releases, 1);
  EXPECT_EQ(fake_->libraries_unloaded, 1);
}

TEST_F(CudaDeviceTest, AKernelOfAnotherDeviceIsRefused) {
  const CudaDriver driver = open_driver();
  fake_->devices = 2;
  const CudaDriver both = open_driver();
  const auto one = open_cuda_device(both, 0);
  const auto two = open_cuda_device(both, 1);
  const auto kernel = one->load(image(), "entry", 0);
  const std::byte parameter[64] = {};
  EXPECT_EQ(error_of([&] { two->launch(*kernel, {}, parameter, nullptr); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { two->launch(LoadedKernel{}, {}, parameter, nullptr); }).code(), ErrorCode::kInvalidArgument);
}

TEST_F(CudaDeviceTest, ATensorBoxReachesTheDriverInBytesAndItsEncodingComesBack) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  const EncodedTensorMap encoded = device->encode({.data = 0x10000,
                                                   .columns = 72,
                                                   .seqlen = 100,
                                                   .heads = 4,
                                                   .batch = 3,
                                                   .stride_seqlen = 288,
                                                   .stride_heads = 72,
                                                   .stride_batch = 28800,
                                                   .box_columns = 16,
                                                   .box_rows = 128});
  const FakeTensorMap& map = fake_->tensor_map;
  EXPECT_EQ(map.type, CU_TENSOR_MAP_DATA_TYPE_UINT16);
  EXPECT_EQ(map.rank, 4u);
  EXPECT_EQ(map.address, reinterpret_cast<void*>(0x10000));
  EXPECT_THAT(map.sizes, ElementsAre(72u, 100u, 4u, 3u));
  EXPECT_THAT(map.strides, ElementsAre(576u, 144u, 57600u));
  EXPECT_THAT(map.box, ElementsAre(16u, 128u, 1u, 1u));
  EXPECT_THAT(map.steps, ElementsAre(1u, 1u, 1u, 1u));
  EXPECT_EQ(map.interleave, CU_TENSOR_MAP_INTERLEAVE_NONE);
  EXPECT_EQ(map.swizzle, CU_TENSOR_MAP_SWIZZLE_32B);
  EXPECT_EQ(map.outside, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  EXPECT_THAT(encoded.bytes, ::testing::Each(kFakeEncoding));
  EXPECT_EQ(fake_->calls_without_context, 0);
}

TEST_F(CudaDeviceTest, TheSwizzleOfATensorBoxIsAsWideAsItsRows) {
  const CudaDriver driver = open_driver();
  const auto device = open_cuda_device(driver, 0);
  TensorBox box{.data = 0x10000, .columns = 64, .seqlen = 1, .heads = 1, .batch = 1, .box_rows = 16};
  for (const auto& [columns, swizzle] :
       {std::pair(16, CU_TENSOR_MAP_SWIZZLE_32B), {32, CU_TENSOR_MAP_SWIZZLE_64B}, {64, CU_TENSOR_MAP_SWIZZLE_128B}}) {
    box.box_columns = columns;
    device->encode(box);
    EXPECT_EQ(fake_->tensor_map.swizzle, swizzle);
    EXPECT_THAT(fake_->tensor_map.strides, ElementsAre(16u, 16u, 16u));  // of extents of 1: anything legal
  }
}

TEST_F(CudaDeviceTest, ATensorBoxThatTheDriverCannotEncodeIsAFailureThatNamesTheCall) {
  const TensorBox box{.data = 16, .columns = 64, .seqlen = 1, .heads = 1, .batch = 1, .box_columns = 64, .box_rows = 1};
  {
    const CudaDriver driver = open_driver();
    const auto device = open_cuda_device(driver, 0);
    fake_->failing = "cuTensorMapEncodeTiled";
    fake_->failure = CUDA_ERROR_OUT_OF_MEMORY;
    const Error error = error_of([&] { device->encode(box); });
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("encoding a tensor map"), HasSubstr("cuTensorMapEncodeTiled")));
  }
  *fake_ = FakeCuda{};
  fake_->driver_version = 11080;
  const CudaDriver old = open_driver();
  const Error error = error_of([&] { open_cuda_device(old, 0)->encode(box); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cuTensorMapEncodeTiled"), HasSubstr("12.0")));
}

TEST(TargetForCapability, IsTheSpecificOneWhereItHasKernelsOfItsOwn) {
  EXPECT_EQ(target_for_capability(90), (Target{90, true}));
  for (const int capability : {80, 86, 89, 100, 120}) EXPECT_FALSE(target_for_capability(capability).arch_specific);
}

TEST(TargetForCapability, FallsBackToTheNewestOlderTargetOfTheMajorVersion) {
  EXPECT_EQ(target_for_capability(80), (Target{80, false}));
  EXPECT_EQ(target_for_capability(88).compute_capability / 10, 8);
  EXPECT_EQ(target_for_capability(75), (Target{75, false}));
}

}  // namespace
}  // namespace flashmask
