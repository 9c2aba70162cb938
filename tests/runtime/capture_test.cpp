// Requests while a CUDA graph is made of a stream: nothing may be compiled or loaded then.

#include <dlfcn.h>
#include <gmock/gmock.h>

#include "fake_driver/fake_cuda.h"
#include "flashmask/device_masks.h"
#include "flashmask/mask_plan.h"
#include "flashmask/runtime.h"
#include "flashmask/tuning_database.h"
#include "runtime/device/cuda_device.h"
#include "runtime/device/cuda_driver.h"
#include "runtime/tune/tuning_identity.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CaptureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    void* handle = dlopen(FAKE_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle, nullptr) << dlerror();
    fake_ = reinterpret_cast<FakeCudaState>(dlsym(handle, "fake_cuda_state"))();
    *fake_ = FakeCuda{};
    fake_->capability = 80;
    driver_ = std::make_unique<CudaDriver>(CudaDriver::open(FAKE_CUDA_LIBRARY));
    device_ = open_cuda_device(*driver_, 0);
  }
  Policy policy() const {
    Policy made = Policy::from_environment();
    made.cache_directory = directory_.file("cache");
    made.no_jit = false;
    made.toolchain.clear();
    return made;
  }
  static KernelDescriptor small_kernel() {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = descriptor.head_dim_v = 32;
    return descriptor;
  }
  static RequestOptions on(void* stream) {
    RequestOptions options;
    options.stream = stream;
    return options;
  }
  /// The code of what was thrown; its text is kept.
  template <typename Call>
  std::optional<ErrorCode> refused(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      told_ = std::string(error.what()) + " " + error.hint();
      return error.code();
    }
    return std::nullopt;
  }

  testing::TemporaryDirectory directory_;
  FakeCuda* fake_ = nullptr;
  std::unique_ptr<CudaDriver> driver_;
  std::shared_ptr<Device> device_;
  std::string told_;
  int captured_ = 0, other_ = 0;  // their addresses are streams
};

TEST_F(CaptureTest, AKernelThatWouldBeCompiledIsATypedErrorAndNothingHappens) {
  Runtime runtime(device_, policy());
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { runtime.request(small_kernel(), on(&captured_)); }), ErrorCode::kCapturing);
  EXPECT_THAT(told_, AllOf(HasSubstr("forward bf16 d32 none sm_80"), HasSubstr("before the capture")));
  EXPECT_EQ(runtime.counters().compiles, 0u);
  EXPECT_EQ(fake_->libraries_loaded, 0);
}

TEST_F(CaptureTest, AKernelOnDiskThatWouldBeLoadedIsATypedErrorAndOneThatIsLoadedIsServed) {
  Runtime(nullptr, policy()).compile(small_kernel());
  Runtime runtime(device_, policy());
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { runtime.request(small_kernel(), on(&captured_)); }), ErrorCode::kCapturing);
  EXPECT_EQ(fake_->libraries_loaded, 0);

  fake_->captured = nullptr;
  const auto kernel = runtime.request(small_kernel(), on(&captured_));
  EXPECT_EQ(fake_->libraries_loaded, 1);
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(runtime.request(small_kernel(), on(&captured_)), kernel);
  // Spelled otherwise it is the same kernel, and loaded.
  RequestOptions spelled = on(&captured_);
  spelled.config = default_tile_config(small_kernel());
  EXPECT_EQ(runtime.request(small_kernel(), spelled), kernel);
  EXPECT_EQ(fake_->libraries_loaded, 1);
}

TEST_F(CaptureTest, AnotherStreamOrNoneIsServedAndTheDefaultStreamWaitsForTheCapture) {
  Runtime(nullptr, policy()).compile(small_kernel());
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { Runtime(device_, policy()).request(small_kernel(), on(nullptr)); }), ErrorCode::kCapturing);
  EXPECT_EQ(refused([&] { Runtime(device_, policy()).request(small_kernel(), on(&other_)); }), std::nullopt) << told_;
  EXPECT_EQ(refused([&] { Runtime(device_, policy()).request(small_kernel()); }), std::nullopt) << told_;
  EXPECT_EQ(fake_->calls_without_context, 0);
}

TEST_F(CaptureTest, ADriverThatCannotTellCountsNoStreamAsCaptured) {
  fake_->missing = "cuStreamIsCapturing";
  const CudaDriver driver = CudaDriver::open(FAKE_CUDA_LIBRARY);
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_FALSE(open_cuda_device(driver, 0)->is_capturing(&captured_));
  EXPECT_TRUE(device_->is_capturing(&captured_));
}

TEST_F(CaptureTest, AStreamThatTheDriverDoesNotKnowIsADeviceError) {
  fake_->failing = "cuStreamIsCapturing";
  fake_->failure = CUDA_ERROR_INVALID_HANDLE;
  Runtime runtime(device_, policy());
  EXPECT_EQ(refused([&] { runtime.request(small_kernel(), on(&captured_)); }), ErrorCode::kDevice);
  EXPECT_THAT(told_, HasSubstr("cuStreamIsCapturing"));
}

TEST_F(CaptureTest, AMaskThatIsWrittenForTheFirstTimeIsATypedErrorToo) {
  Runtime runtime(device_, policy());
  const device_masks::Extents extents{.batch = 1, .seqlen_q = 64, .seqlen_k = 64};
  const device_masks::Output output{256, 1024};
  const auto write = [&] { device_masks::sliding_window(runtime, extents, 16, output, &captured_); };
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused(write), ErrorCode::kCapturing);
  fake_->captured = nullptr;
  device_masks::load(runtime, MaskForm::kC1);
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused(write), std::nullopt) << told_;
  EXPECT_EQ(fake_->launches, 1);
}

TEST_F(CaptureTest, APlanWhoseKernelsOrMemoryAreNotThereIsATypedErrorAndOneThatIsPreparedIsServed) {
  Runtime runtime(device_, policy());
  const MaskShape mask{.form = MaskForm::kC1, .seqlen_q = 64, .seqlen_k = 64};
  const TileShape tile{64, 64};
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { MaskPlan(runtime, mask, 256, &captured_); }), ErrorCode::kCapturing);
  EXPECT_EQ(fake_->libraries_loaded, 0);
  fake_->captured = nullptr;
  MaskPlan plan(runtime, mask, 256, &captured_);
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { plan.prepare(tile, &captured_); }), ErrorCode::kCapturing);
  EXPECT_THAT(told_, AllOf(HasSubstr("64 x 64"), HasSubstr("build()")));
  EXPECT_EQ(refused([&] { plan.build(tile, 4096, MaskPlan::size(mask, tile), &captured_); }), std::nullopt) << told_;
  fake_->captured = nullptr;
  const PlanView prepared = plan.prepare(tile, &captured_);
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { EXPECT_EQ(plan.prepare(tile, &captured_).data, prepared.data); }), std::nullopt) << told_;
}

TEST_F(CaptureTest, InPlaceOfATunedKernelTheLoadedDefaultServesForAsLongAsTheStreamIsCaptured) {
  TuningRecord answer;
  answer.key = tune::tuning_key(device_->properties(), small_kernel(), bucket_of({.seqlen_q = 4096, .seqlen_k = 4096}));
  answer.config = {64, 32, 4, 2};
  answer.default_config = default_tile_config(small_kernel());
  ASSERT_FALSE(answer.config == answer.default_config);
  Policy tuned = policy();
  tuned.shipped_tuning = false;
  tuned.tuning_path = directory_.file("tuning.db");
  TuningDatabase::open(tuned.tuning_path).save(answer);

  Runtime runtime(device_, tuned);
  RequestOptions plain = on(&captured_);
  plain.config = answer.default_config;
  runtime.request(small_kernel(), plain);
  RequestOptions asked = on(&captured_);
  asked.hint = {.seqlen_q = 4096, .seqlen_k = 4096};
  fake_->captured = reinterpret_cast<CUstream>(&captured_);
  EXPECT_EQ(refused([&] { EXPECT_EQ(runtime.request(small_kernel(), asked)->config(), answer.default_config); }),
            std::nullopt)
      << told_;
  fake_->captured = nullptr;
  EXPECT_EQ(runtime.request(small_kernel(), asked)->config(), answer.config);
}

TEST_F(CaptureTest, AnEmulatedDeviceRunsEverythingAtOnceAndCapturesNothing) {
  EXPECT_FALSE(open_emulated_device()->is_capturing(&captured_));
}

}  // namespace
}  // namespace flashmask
