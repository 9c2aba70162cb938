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

class ForwardRequests : public testing::TestWithParam<Family> {
 protected:
  static Runtime& runtime() { return tested_runtime(GetParam()); }
  static KernelDescriptor small_descriptor(MaskForm form) {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = descriptor.head_dim_v = 32;
    descriptor.mask_form = form;
    descriptor.target = GetParam().target;
    return descriptor;
  }
  static std::unique_ptr<Runtime> fresh_runtime(const Policy& policy) {
    return std::make_unique<Runtime>(runtime().device(), policy);
  }
};

TEST_P(ForwardRequests, ASweepOf50ShapesCompilesExactlyOneKernelAndOnePlan) {
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

TEST_P(ForwardRequests, ASecondRuntimeOnTheSameCacheCompilesNothing) {
  const KernelDescriptor descriptor = small_descriptor(MaskForm::kF2);
  fresh_runtime(tested_policy())->request(descriptor);  // in the cache from here on
  const auto second = fresh_runtime(tested_policy());
  const auto kernel = second->request(descriptor);
  EXPECT_EQ(second->counters().compiles, 0u);
  EXPECT_EQ(second->counters().disk_hits, 1u);
  EXPECT_EQ(kernel->origin(), KernelOrigin::kDisk);
  EXPECT_TRUE(is_correct(*second, *kernel, TestProblem(descriptor, {.seqlen_q = 40, .seqlen_k = 50})));
}

TEST_P(ForwardRequests, OfAnIllegalDescriptorListEveryBrokenRule) {
  KernelDescriptor descriptor = small_descriptor(MaskForm::kNone);
  descriptor.head_dim_qk = 100;
  descriptor.head_dim_v = 264;
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  try {
    runtime().request(descriptor);
    FAIL() << "an illegal descriptor was served";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("head_dim_qk = 100"), HasSubstr("head_dim_v = 264"),
                                             HasSubstr("causal_alignment")));
  }
}

/// A launch that is legal until a test breaks it.
class BadLaunches : public ForwardRequests {
 protected:
  BadLaunches() : device_(*runtime().device()), memory_(device_.allocate(kBytes)) {
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
    const auto kernel = runtime().request(small_descriptor(form));
    EXPECT_FALSE(broken_rules(kernel->descriptor(), broken).empty());
    try {
      kernel->launch(broken, nullptr, workspace());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      std::vector<std::byte> output(1 << 16);
      device_.copy_to_host(output, memory_ + (3 << 16), nullptr);
      EXPECT_TRUE(std::ranges::all_of(output, [](std::byte b) { return b == std::byte{0xFF}; }));
      return error.what();
    }
    return "served";
  }

  Workspace workspace() const { return {memory_ + (5 << 16), 1 << 16}; }

  static constexpr std::size_t kBytes = 6 << 16;
  Device& device_;
  DevicePointer memory_;
  ForwardLaunch launch_;
};

TEST_P(BadLaunches, AreLegalBeforeTheyAreBroken) {
  EXPECT_THAT(broken_rules(small_descriptor(MaskForm::kC1), launch_), testing::IsEmpty());
  const auto kernel = runtime().request(small_descriptor(MaskForm::kC1));
  EXPECT_NO_THROW(kernel->launch(launch_, nullptr, workspace()));
  device_.synchronize(nullptr);
}

TEST_P(BadLaunches, WithAnEmptyExtentNameIt) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.batch = 0; }), HasSubstr("batch = 0"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.seqlen_q = 0; }), HasSubstr("seqlen_q = 0"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.seqlen_k = -5; }), HasSubstr("seqlen_k = -5"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_q = 0; }), HasSubstr("num_heads_q = 0"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_kv = 0; }), HasSubstr("num_heads_kv = 0"));
}

TEST_P(BadLaunches, WithMismatchedHeadsNameThem) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_kv = 3; }), HasSubstr("num_heads_kv = 3"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_mask = 3; }), HasSubstr("num_heads_mask = 3"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.num_heads_mask = 0; }), HasSubstr("num_heads_mask = 0"));
}

TEST_P(BadLaunches, WithUnalignedRowsNameTheTensorAndItsStride) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.query.data += 8; }), HasSubstr("query"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.key.stride_seqlen += 4; }), HasSubstr("key"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.value.stride_head = 33; }), HasSubstr("value"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.output.stride_batch += 1; }), HasSubstr("output"));
}

TEST_P(BadLaunches, WithANegativeStrideAreBadForTensorCopiesAlone) {
  constexpr auto kBreaks = [](ForwardLaunch& l) { l.value.stride_seqlen *= -1; };
  if (GetParam().name == "wgmma") {
    EXPECT_THAT(refusal(kBreaks),
                HasSubstr("value: the seqlen stride is -64 elements: the tensor copies of sm_90a take 0 to "
                          "549755813887; request the kernel for sm_90, or copy the tensor"));
  } else {
    kBreaks(launch_);
    EXPECT_THAT(broken_rules(small_descriptor(MaskForm::kC1), launch_), testing::IsEmpty());
  }
}

TEST_P(BadLaunches, WithoutTheWorkspaceThatIsNeededNameIt) {
  const auto kernel = runtime().request(small_descriptor(MaskForm::kC1));
  const std::size_t needed = kernel->workspace_size(launch_);
  EXPECT_EQ(needed > 0, GetParam().name == "wgmma");
  if (needed == 0) {
    EXPECT_NO_THROW(kernel->launch(launch_));
    return;
  }
  const auto refusal_of = [&](const Workspace& given) -> std::string {
    try {
      kernel->launch(launch_, nullptr, given);
    } catch (const Error& error) {
      return error.what();
    }
    return "served";
  };
  EXPECT_THAT(refusal_of({}), HasSubstr("the workspace is null"));
  EXPECT_THAT(refusal_of({workspace().data, needed - 1}), HasSubstr("the workspace has 15 bytes, 16 are needed"));
  EXPECT_THAT(refusal_of({workspace().data + 8, needed}), HasSubstr("the workspace is at 0x"));
}

TEST_P(BadLaunches, WithoutATensorNameIt) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.query.data = 0; }), HasSubstr("query"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.output.data = 0; }), HasSubstr("output"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.startend_row_indices = 0; }), HasSubstr("startend_row_indices"));
}

TEST_P(BadLaunches, WithAScaleThatIsNotFiniteAndPositiveNameIt) {
  for (auto breaks : {+[](ForwardLaunch& l) { l.softmax_scale = 0; }, +[](ForwardLaunch& l) { l.softmax_scale = -1; },
                      +[](ForwardLaunch& l) { l.softmax_scale = std::numeric_limits<float>::infinity(); },
                      +[](ForwardLaunch& l) { l.softmax_scale = std::nanf(""); }}) {
    EXPECT_THAT(refusal(breaks), HasSubstr("softmax_scale"));
  }
}

TEST_P(BadLaunches, WithAWindowThatCannotBeNameIt) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.window_left = -2; }, MaskForm::kWindow), HasSubstr("window_left = -2"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.window_right = -7; }, MaskForm::kWindow),
              HasSubstr("window_right = -7"));
  EXPECT_THAT(refusal([](ForwardLaunch& l) { l.window_left = 4; }), HasSubstr("window"));
}

TEST_P(BadLaunches, ListEveryBrokenRuleAtOnce) {
  EXPECT_THAT(refusal([](ForwardLaunch& l) {
                l.batch = 0;
                l.num_heads_kv = 3;
                l.key.data += 2;
                l.softmax_scale = -1;
              }),
              testing::AllOf(HasSubstr("batch = 0"), HasSubstr("num_heads_kv = 3"), HasSubstr("key"),
                             HasSubstr("softmax_scale")));
}

INSTANTIATE_TEST_SUITE_P(Family, ForwardRequests, testing::ValuesIn(tested_families()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Family, BadLaunches, testing::ValuesIn(tested_families()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace flashmask::forward_tests
