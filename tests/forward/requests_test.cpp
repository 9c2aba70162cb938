// What a request and a launch may and may not ask for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

using testing::HasSubstr;

KernelDescriptor small_descriptor(MaskForm form) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = 32;
  descriptor.mask_form = form;
  descriptor.target = tested_runtime().device()->properties().target;
  return descriptor;
}

std::unique_ptr<Runtime> fresh_runtime(const Policy& policy) {
  return std::make_unique<Runtime>(tested_runtime().device(), policy);
}

TEST(ForwardRequests, ASweepOf50ShapesCompilesExactlyOneKernelAndOnePlan) {
  Policy policy = tested_policy();
  policy.cache_directory.clear();  // no disk: what is needed must be compiled here
  const auto runtime = fresh_runtime(policy);
  const KernelDescriptor descriptor = small_descriptor(MaskForm::kC1);
  for (int n = 0; n < 50; ++n) {
    const Extents extents{.batch = 1 + n % 2,
                          .seqlen_q = 1 + 7 * n % 67,
                          .seqlen_k = 1 + 11 * n % 83,
                          .heads_q = 1 + n % 3,
                          .heads_kv = 1,
                          .heads_mask = 1};
    RequestOptions options;
    options.hint = {extents.seqlen_q, extents.seqlen_k, extents.batch * extents.heads_q};
    const auto kernel = runtime->request(descriptor, options);
    EXPECT_TRUE(
        is_correct(*runtime, *kernel, TestProblem(descriptor, extents, {.seed = static_cast<std::uint64_t>(n)})));
  }
  const RuntimeCounters counters = runtime->counters();
  EXPECT_EQ(counters.requests, 51u);  // the plan's kernels are looked up once
  EXPECT_EQ(counters.compiles, 2u);
  EXPECT_EQ(counters.memory_hits, 49u);
  EXPECT_EQ(counters.disk_hits, 0u);
}

TEST(ForwardRequests, ASecondRuntimeOnTheSameCacheCompilesNothing) {
  const KernelDescriptor descriptor = small_descriptor(MaskForm::kF2);
  fresh_runtime(tested_policy())->request(descriptor);  // in the cache from here on
  const auto second = fresh_runtime(tested_policy());
  const auto kernel = second->request(descriptor);
  EXPECT_EQ(second->counters().compiles, 0u);
  EXPECT_EQ(second->counters().disk_hits, 1u);
  EXPECT_EQ(kernel->origin(), KernelOrigin::kDisk);
  EXPECT_TRUE(is_correct(*second, *kernel, TestProblem(descriptor, {.seqlen_q = 40, .seqlen_k = 50})));
}

TEST(ForwardRequests, OfAnIllegalDescriptorListEveryBrokenRule) {
  KernelDescriptor descriptor = small_descriptor(MaskForm::kNone);
  descriptor.head_dim_qk = 100;
  descriptor.head_dim_v = 264;
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  try {
    tested_runtime().request(descriptor);
    FAIL() << "an illegal descriptor was served";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("head_dim_qk = 100"), HasSubstr("head_dim_v = 264"),
                                             HasSubstr("causal_alignment")));
  }
}

/// A launch that is legal until a test breaks it.
class BadLaunches : public testing::Test {
 protected:
  BadLaunches() : device_(*tested_runtime().device()), memory_(device_.allocate(kBytes)) {
    device_.fill(memory_, 0, kBytes, nullptr);
    launch_.batch = 2;
    launch_.seqlen_q = 16;
    launch_.seqlen_k = 24;
    launch_.num_heads_q = 4;
    launch_.num_heads_kv = 2;
    launch_.num_heads_mask = 1;
    launch_.query = TensorView::contiguous(memory_, 16, 4, 32);
    launch_.key = TensorView::contiguous(memory_ + (1 << 16), 24, 2, 32);
    launch_.value = TensorView::contiguous(memory_ + (2 << 16), 24, 2, 32);
    launch_.output = TensorView::contiguous(memory_ + (3 << 16), 16, 4, 32);
    launch_.startend_row_indices = memory_ + (4 << 16);
    launch_.softmax_scale = 0.125f;
  }
  ~BadLaunches() override { device_.release(memory_); }

  /// The text of the refusal of the launch after `breaks`; the output must not have been touched.
  std::string refusal(void (*breaks)(ForwardLaunch&), MaskForm form = MaskForm::kC1) {
    ForwardLaunch broken = launch_;
    if (vectors_per_column(form) == 0) broken.startend_row_indices = 0;
    breaks(broken);
    device_.fill(memory_ + (3 << 16), 0xFF, 1 << 16, nullptr);
    const auto kernel = tested_runtime().request(small_descriptor(form));
    EXPECT_FALSE(broken_rules(kernel->descriptor(), broken).empty());
    try {
      kernel->launch(broken);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      std::vector<std::byte> output(1 << 16);
      device_.copy_to_host(output, memory_ + (3 << 16), nullptr);
      EXPECT_TRUE(std::ranges::all_of(output, [](std::byte b) { return b == std::byte{0xFF}; }));
      return error.what();
    }
    return "served";
  }

  static constexpr std::size_t kBytes = 5 << 16;
  Device& device_;
  DevicePointer memory_;
  ForwardLaunch launch_;
};

TEST_F(BadLaunches, AreLegalBeforeTheyAreBroken) {
  EXPECT_THAT(broken_rules(small_descriptor(MaskForm::kC1), launch_), testing::IsEmpty());
  const auto kernel = tested_runtime().request(small_descriptor(MaskForm::kC1));
  EXPECT_NO_THROW(kernel->launch(launch_));
  device_.synchronize(nullptr);
}

TEST_F(BadLaunches, WithAnEmptyExtentNameIt) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.batch = 0; }), HasSubstr("batch = 0"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.seqlen_q = 0; }), HasSubstr("seqlen_q = 0"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.seqlen_k = -5; }), HasSubstr("seqlen_k = -5"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_q = 0; }), HasSubstr("num_heads_q = 0"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_kv = 0; }), HasSubstr("num_heads_kv = 0"));
}

TEST_F(BadLaunches, WithMismatchedHeadsNameThem) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_kv = 3; }), HasSubstr("num_heads_kv = 3"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_mask = 3; }), HasSubstr("num_heads_mask = 3"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_mask = 0; }), HasSubstr("num_heads_mask = 0"));
}

TEST_F(BadLaunches, WithUnalignedRowsNameTheTensorAndItsStride) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.query.data += 8; }), HasSubstr("query"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.key.stride_seqlen += 4; }), HasSubstr("key"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.value.stride_head = 33; }), HasSubstr("value"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.output.stride_batch += 1; }), HasSubstr("output"));
}

TEST_F(BadLaunches, WithoutATensorNameIt) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.query.data = 0; }), HasSubstr("query"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.output.data = 0; }), HasSubstr("output"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.startend_row_indices = 0; }), HasSubstr("startend_row_indices"));
}

TEST_F(BadLaunches, WithAScaleThatIsNotFiniteAndPositiveNameIt) {
  for (auto breaks : {+[](ForwardLaunch& l) { l.softmax_scale = 0; }, +[](ForwardLaunch& l) { l.softmax_scale = -1; },
                      +[](ForwardLaunch& l) { l.softmax_scale = std::numeric_limits<float>::infinity(); },
                      +[](ForwardLaunch& l) { l.softmax_scale = std::nanf(""); }}) {
    EXPECT_THAT(refusal(breaks), HasSubstr("softmax_scale"));
  }
}

TEST_F(BadLaunches, WithAWindowThatCannotBeNameIt) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.window_left = -2; }, MaskForm::kWindow), HasSubstr("window_left = -2"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.window_right = -7; }, MaskForm::kWindow),
              HasSubstr("window_right = -7"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.window_left = 4; }), HasSubstr("window"));
}

TEST_F(BadLaunches, ListEveryBrokenRuleAtOnce) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) {
                l.batch = 0;
                l.num_heads_kv = 3;
                l.key.data += 2;
                l.softmax_scale = -1;
              }),
              testing::AllOf(HasSubstr("batch = 0"), HasSubstr("num_heads_kv = 3"), HasSubstr("key"),
                             HasSubstr("softmax_scale")));
}

}  // namespace
}  // namespace flashmask::forward_tests
