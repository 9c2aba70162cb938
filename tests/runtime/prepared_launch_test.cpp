// A launch that is prepared once and enqueued many times: it leaves what Kernel::launch() leaves, for less.

#include <gmock/gmock.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "allocation_counter.h"
#include "flashmask/reference.h"
#include "flashmask/runtime.h"
#include "tests/forward/forwarding_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask {
namespace {

using forward_tests::ForwardingDevice;
using forward_tests::tested_policy;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr int kBatch = 2, kSeqlenQ = 100, kSeqlenK = 150, kHeadsQ = 2, kHeadsKv = 1, kDim = 32;
constexpr std::size_t kQueryElements = std::size_t{kBatch} * kSeqlenQ * kHeadsQ * kDim;
constexpr std::size_t kKeyElements = std::size_t{kBatch} * kSeqlenK * kHeadsKv * kDim;
constexpr std::size_t kRows = std::size_t{kBatch} * kSeqlenQ * kHeadsQ;

struct Tested {
  Pass pass;
  Target target;
};

/// Of a backward the deterministic one, whose bits can be compared.
KernelDescriptor descriptor_of(const Tested& tested) {
  return {.pass = tested.pass,
          .head_dim_qk = kDim,
          .head_dim_v = kDim,
          .mask_form = MaskForm::kCausal,
          .target = tested.target,
          .deterministic = tested.pass == Pass::kBackward};
}

bool is_backward(const Kernel& kernel) {
  return kernel.descriptor().pass == Pass::kBackward;
}

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

/// The tensors of a forward and of its backward on a device, drawn from N(0, 1). O and LSE are drawn as well: what a
/// backward makes of them means nothing, but is always the same.
class Problem {
 public:
  explicit Problem(std::shared_ptr<Device> device)
      : device_(std::move(device)),
        query_(device_, kQueryElements * 2),
        key_(device_, kKeyElements * 2),
        value_(device_, kKeyElements * 2),
        output_(device_, kQueryElements * 2),
        output_gradient_(device_, kQueryElements * 2),
        lse_(device_, kRows * sizeof(float)),
        query_gradient_(device_, kQueryElements * 2),
        key_gradient_(device_, kKeyElements * 2),
        value_gradient_(device_, kKeyElements * 2) {
    std::mt19937 random(7);
    for (const DeviceBuffer* tensor : {&query_, &key_, &value_, &output_gradient_}) draw(*tensor, random);
  }

  ForwardLaunch forward() const {
    return {.batch = kBatch,
            .seqlen_q = kSeqlenQ,
            .seqlen_k = kSeqlenK,
            .num_heads_q = kHeadsQ,
            .num_heads_kv = kHeadsKv,
            .query = of_queries(query_),
            .key = of_keys(key_),
            .value = of_keys(value_),
            .output = of_queries(output_),
            .lse = lse_.get(),
            .softmax_scale = 0.125f};
  }
  BackwardLaunch backward() const {
    return {.forward = forward(),
            .output_gradient = of_queries(output_gradient_),
            .query_gradient = of_queries(query_gradient_),
            .key_gradient = of_keys(key_gradient_),
            .value_gradient = of_keys(value_gradient_)};
  }
  void draw_other_values() const {
    std::mt19937 random(8);
    draw(value_, random);
  }

  /// Everything that the pass writes holds 0xFF bytes, and what else it reads holds numbers.
  void clear_results(Pass pass) const {
    for (const DeviceBuffer* tensor : results(pass)) device_->fill(tensor->get(), 0xff, tensor->bytes(), nullptr);
    if (pass == Pass::kForward) return;
    std::mt19937 random(9);
    draw(output_, random);
    upload(lse_, std::vector<float>(kRows, 4.0f));
  }
  /// The bytes of all that the pass writes.
  std::vector<std::byte> take_results(Pass pass) const {
    std::vector<std::byte> bytes;
    for (const DeviceBuffer* tensor : results(pass)) {
      const std::size_t begin = bytes.size();
      bytes.resize(begin + tensor->bytes());
      device_->copy_to_host(std::span(bytes).subspan(begin), tensor->get(), nullptr);
    }
    return bytes;
  }

 private:
  std::vector<const DeviceBuffer*> results(Pass pass) const {
    if (pass == Pass::kForward) return {&output_, &lse_};
    return {&query_gradient_, &key_gradient_, &value_gradient_};
  }
  static TensorView of_queries(const DeviceBuffer& tensor) {
    return TensorView::contiguous(tensor.get(), kSeqlenQ, kHeadsQ, kDim);
  }
  static TensorView of_keys(const DeviceBuffer& tensor) {
    return TensorView::contiguous(tensor.get(), kSeqlenK, kHeadsKv, kDim);
  }
  template <typename Element>
  void upload(const DeviceBuffer& into, const std::vector<Element>& elements) const {
    device_->copy_to_device(into.get(), std::as_bytes(std::span(elements)), nullptr);
  }
  void draw(const DeviceBuffer& into, std::mt19937& random) const {
    std::normal_distribution<float> normal;
    std::vector<std::uint16_t> elements(into.bytes() / 2);
    for (std::uint16_t& element : elements) element = reference::from_float(normal(random), DataType::kBfloat16);
    upload(into, elements);
  }

  std::shared_ptr<Device> device_;
  DeviceBuffer query_, key_, value_, output_, output_gradient_, lse_, query_gradient_, key_gradient_, value_gradient_;
};

/// A kernel, and what it is launched with.
class Session {
 public:
  Session(const std::shared_ptr<Device>& device, const Tested& tested)
      : runtime_(std::make_unique<Runtime>(device, tested_policy())),
        kernel_(runtime_->request(descriptor_of(tested))),
        problem_(device),
        workspace_(device, is_backward(*kernel_) ? kernel_->workspace_size(problem_.backward())
                                                 : kernel_->workspace_size(problem_.forward())) {}

  const Kernel& kernel() const { return *kernel_; }
  const Problem& problem() const { return problem_; }
  Workspace workspace() const { return {workspace_.get(), workspace_.bytes()}; }
  void launch(Stream stream = nullptr) const {
    if (is_backward(*kernel_))
      kernel_->launch(problem_.backward(), stream, workspace());
    else
      kernel_->launch(problem_.forward(), stream, workspace());
  }
  std::unique_ptr<const PreparedLaunch> prepare() const {
    return is_backward(*kernel_) ? kernel_->prepare(problem_.backward(), workspace())
                                 : kernel_->prepare(problem_.forward(), workspace());
  }
  void release_kernel_and_runtime() {
    kernel_.reset();
    runtime_.reset();
  }

 private:
  std::unique_ptr<Runtime> runtime_;
  std::shared_ptr<const Kernel> kernel_;
  Problem problem_;
  DeviceBuffer workspace_;
};

class PreparedLaunches : public ::testing::TestWithParam<Tested> {
 protected:
  std::shared_ptr<Device> emulated_device() const { return open_emulated_device({.target = GetParam().target}); }
  std::shared_ptr<IdleDevice> idle_device() const { return std::make_shared<IdleDevice>(emulated_device()); }

  /// What a launch leaves where 0xFF bytes were.
  std::vector<std::byte> results_of(const Problem& problem, const std::function<void()>& launch) const {
    problem.clear_results(GetParam().pass);
    launch();
    return problem.take_results(GetParam().pass);
  }
};

TEST_P(PreparedLaunches, LeaveTheBytesThatALaunchLeavesEveryTime) {
  const Session session(emulated_device(), GetParam());
  const Problem& problem = session.problem();
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
  const Problem& problem = session.problem();
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
