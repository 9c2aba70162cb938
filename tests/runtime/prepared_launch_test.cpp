// A launch that is prepared once and enqueued many times: it leaves what Kernel::launch() leaves, for less.

#include <gmock/gmock.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "allocation_counter.h"
#include "flashmask/runtime.h"
#include "small_problem.h"
#include "tests/forward/forwarding_device.h"

namespace flashmask {
namespace {

using forward_tests::ForwardingDevice;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using testing::is_backward;
using testing::Session;
using testing::SmallProblem;
using testing::Tested;

/// The memory and the encodings of an emulated device, which are counted; launches and fills are written down and not
/// done.
class IdleDevice final : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  struct Call {
    const LoadedKernel* kernel;  ///< null: a fill
    std::uint32_t ctas;
    std::uint32_t block;
    std::size_t bytes;  ///< of the parameter, or filled
    Stream stream;

    friend bool operator==(const Call&, const Call&) = default;
  };
  /// Since the last time. Room for more is made here, so that calls allocate nothing.
  std::vector<Call> take_calls() {
    std::vector<Call> taken;
    taken.reserve(100);
    taken.swap(calls_);
    return taken;
  }
  int encodings() const { return encodings_; }
  const std::vector<std::weak_ptr<const LoadedKernel>>& loaded() const { return loaded_; }

  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override {
    auto kernel = ForwardingDevice::load(image, entry, shared_bytes);
    loaded_.push_back(kernel);
    return kernel;
  }
  EncodedTensorMap encode(const TensorBox& box) const override {
    ++encodings_;
    return ForwardingDevice::encode(box);
  }
  void fill(DevicePointer, std::uint8_t, std::size_t bytes, Stream stream) override {
    calls_.push_back({nullptr, 0, 0, bytes, stream});
  }
  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream stream) override {
    calls_.push_back({&kernel, geometry.grid[0], geometry.block, parameter.size(), stream});
  }

 private:
  std::vector<Call> calls_;
  mutable int encodings_ = 0;
  std::vector<std::weak_ptr<const LoadedKernel>> loaded_;
};

class PreparedLaunches : public ::testing::TestWithParam<Tested> {
 protected:
  std::shared_ptr<Device> emulated_device() const { return open_emulated_device({.target = GetParam().target}); }
  std::shared_ptr<IdleDevice> idle_device() const { return std::make_shared<IdleDevice>(emulated_device()); }

  /// What a launch leaves where 0xFF bytes were.
  std::vector<std::byte> results_of(const SmallProblem& problem, const std::function<void()>& launch) const {
    problem.clear_results(GetParam().pass);
    launch();
    return problem.take_results(GetParam().pass);
  }
};

TEST_P(PreparedLaunches, LeaveTheBytesThatALaunchLeavesEveryTime) {
  const Session session(emulated_device(), GetParam());
  const SmallProblem& problem = session.problem();
  const auto prepared = session.prepare();
  const std::vector<std::byte> expected = results_of(problem, [&] { session.launch(); });
  EXPECT_THAT(results_of(problem, [] {}), Each(std::byte{0xff}));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(results_of(problem, [&] { prepared->launch(); }), expected);

  problem.draw_other_values();
  const std::vector<std::byte> of_others = results_of(problem, [&] { session.launch(); });
  EXPECT_NE(of_others, expected);
  EXPECT_EQ(results_of(problem, [&] { prepared->launch(); }), of_others);
}

TEST_P(PreparedLaunches, OutliveTheKernelAndTheRuntime) {
  Session session(emulated_device(), GetParam());
  const SmallProblem& problem = session.problem();
  const std::vector<std::byte> expected = results_of(problem, [&] { session.launch(); });
  const auto prepared = session.prepare();
  session.release_kernel_and_runtime();
  EXPECT_EQ(results_of(problem, [&] { prepared->launch(); }), expected);
}

TEST_P(PreparedLaunches, KeepTheLoadedKernelsAndTheDeviceAndNothingLonger) {
  auto device = idle_device();
  const std::weak_ptr<IdleDevice> observed = device;
  auto session = std::make_unique<Session>(device, GetParam());
  auto prepared = session->prepare();
  const auto loaded = device->loaded();
  session.reset();
  device.reset();
  ASSERT_FALSE(observed.expired());
  for (const auto& kernel : loaded) EXPECT_FALSE(kernel.expired());
  prepared->launch();
  EXPECT_FALSE(observed.lock()->take_calls().empty());
  prepared.reset();
  EXPECT_TRUE(observed.expired());
  for (const auto& kernel : loaded) EXPECT_TRUE(kernel.expired());
}

TEST_P(PreparedLaunches, EncodeEachTensorOnceHoweverOftenTheyAreLaunched) {
  const auto device = idle_device();
  const Session session(device, GetParam());
  const int tensors = GetParam().target == Target{90, true} ? 4 : 0;
  const auto prepared = session.prepare();
  EXPECT_EQ(device->encodings(), tensors);
  for (int i = 0; i < 3; ++i) prepared->launch();
  EXPECT_EQ(device->encodings(), tensors);
  for (int i = 0; i < 3; ++i) session.launch();
  EXPECT_EQ(device->encodings(), 4 * tensors);
}

TEST_P(PreparedLaunches, AskTheDeviceForWhatALaunchAsksItForOnTheirStream) {
  const auto device = idle_device();
  const Session session(device, GetParam());
  const auto prepared = session.prepare();
  EXPECT_TRUE(device->take_calls().empty());  // preparing enqueues nothing
  int marker = 0;
  session.launch(&marker);
  const auto expected = device->take_calls();
  EXPECT_GE(expected.size(), 1u);
  prepared->launch(&marker);
  EXPECT_EQ(device->take_calls(), expected);
  prepared->launch();
  const auto of_default_stream = device->take_calls();
  ASSERT_EQ(of_default_stream.size(), expected.size());
  for (const IdleDevice::Call& call : of_default_stream) EXPECT_EQ(call.stream, nullptr);
}

TEST_P(PreparedLaunches, AllocateNothingWhenTheyAreLaunchedAndNeitherDoesALaunch) {
  const auto device = idle_device();
  const Session session(device, GetParam());
  const auto prepared = session.prepare();
  device->take_calls();  // makes room
  const std::uint64_t before = testing::allocations_of_this_thread();
  prepared->launch();
  prepared->launch();
  session.launch();
  EXPECT_EQ(testing::allocations_of_this_thread(), before);
  EXPECT_GE(device->take_calls().size(), 3u);
}

/// The refusal of a call.
Error refusal_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was refused");
}

/// Both refuse what is given, in the same words.
template <typename Arguments>
std::string refusal_of(const Kernel& kernel, const Arguments& arguments, const Workspace& workspace) {
  const Error of_prepare = refusal_of([&] { kernel.prepare(arguments, workspace); });
  const Error of_launch = refusal_of([&] { kernel.launch(arguments, nullptr, workspace); });
  EXPECT_EQ(of_prepare.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(of_launch.code(), ErrorCode::kInvalidArgument);
  EXPECT_STREQ(of_prepare.what(), of_launch.what());
  EXPECT_EQ(of_prepare.hint(), of_launch.hint());
  return of_prepare.what();
}

TEST_P(PreparedLaunches, AreRefusedWithEveryRuleThatALaunchWouldBreak) {
  const auto device = idle_device();
  const Session session(device, GetParam());
  const Kernel& kernel = session.kernel();
  const auto refusal = [&](void (*breaks)(ForwardLaunch&), const Workspace& workspace) {
    BackwardLaunch launch = session.problem().backward();
    breaks(launch.forward);
    return is_backward(kernel) ? refusal_of(kernel, launch, workspace) : refusal_of(kernel, launch.forward, workspace);
  };
  const Workspace workspace = session.workspace();
  EXPECT_THAT(refusal(
                  [](ForwardLaunch& launch) {
                    launch.batch = 0;
                    launch.query.data += 8;
                    launch.softmax_scale = -1;
                  },
                  workspace),
              AllOf(HasSubstr("3 rules"), HasSubstr("batch = 0"), HasSubstr("query"), HasSubstr("softmax_scale = -1")));
  if (workspace.bytes > 0) {
    EXPECT_THAT(refusal([](ForwardLaunch&) {}, {workspace.data, workspace.bytes / 2}), HasSubstr("the workspace has"));
  }
  const std::string other_pass = is_backward(kernel) ? refusal_of(kernel, session.problem().forward(), workspace)
                                                     : refusal_of(kernel, session.problem().backward(), workspace);
  EXPECT_THAT(other_pass, HasSubstr("is given the arguments of a"));
  EXPECT_EQ(device->encodings(), 0);
  EXPECT_TRUE(device->take_calls().empty());
}

INSTANTIATE_TEST_SUITE_P(Kernels, PreparedLaunches,
                         ::testing::Values(Tested{Pass::kForward, {80, false}}, Tested{Pass::kForward, {90, true}},
                                           Tested{Pass::kBackward, {80, false}}, Tested{Pass::kBackward, {90, true}}),
                         [](const auto& test) {
                           return std::string(to_string(test.param.pass)) + "_" + to_string(test.param.target);
                         });

}  // namespace
}  // namespace flashmask
