#include <dlpack/dlpack.h>
#include <gmock/gmock.h>

#include <array>
#include <cstdint>
#include <vector>

#include "flashmask/flashmask.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;

constexpr int kDim = 32, kRows = 3, kKeys = 5, kHeads = 2;
constexpr std::uint16_t kOne = 0x3c00;  // as fp16

/// A DLTensor with its shape, and strides if they were asked for.
struct OwnedTensor {
  std::vector<std::int64_t> shape, strides;
  DLTensor tensor{};

  OwnedTensor(std::uint64_t address, std::vector<std::int64_t> extents, DLDataType type = {kDLFloat, 16, 1})
      : shape(std::move(extents)) {
    tensor = {.data = reinterpret_cast<void*>(address),
              .device = {kDLExtDev, 0},
              .ndim = static_cast<int>(shape.size()),
              .dtype = type,
              .shape = shape.data(),
              .strides = nullptr,
              .byte_offset = 0};
  }
  OwnedTensor(const OwnedTensor&) = delete;

  void set_strides(std::vector<std::int64_t> values) {
    strides = std::move(values);
    tensor.strides = strides.data();
  }
};

/// A kernel on the emulator, and memory there.
class DlpackArguments : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(fm_device_open_emulator("sm_80", 0, &device_), FM_OK);
    fm_policy policy;
    fm_init_policy(&policy, sizeof policy);
    policy.cache_directory = directory_.path().c_str();
    ASSERT_EQ(fm_runtime_create(device_, &policy, &runtime_), FM_OK) << fm_last_error();
  }
  void TearDown() override {
    fm_kernel_release(kernel_);
    fm_runtime_release(runtime_);
    fm_device_release(device_);
  }

  void request(fm_pass pass, fm_mask_form form) {
    fm_descriptor descriptor;
    fm_init_descriptor(&descriptor, sizeof descriptor);
    descriptor.pass = pass;
    descriptor.dtype = FM_FLOAT16;
    descriptor.head_dim_qk = descriptor.head_dim_v = kDim;
    descriptor.mask_form = form;
    ASSERT_EQ(fm_runtime_request(runtime_, &descriptor, nullptr, &kernel_), FM_OK) << fm_last_error();
  }

  template <typename Element>
  std::uint64_t upload(const std::vector<Element>& values) {
    std::uint64_t address = 0;
    EXPECT_EQ(fm_device_alloc(device_, values.size() * sizeof(Element), &address), FM_OK);
    EXPECT_EQ(fm_device_copy_in(device_, address, values.data(), values.size() * sizeof(Element), nullptr), FM_OK);
    return address;
  }

  const TemporaryDirectory directory_;
  fm_device* device_ = nullptr;
  fm_runtime* runtime_ = nullptr;
  fm_kernel* kernel_ = nullptr;
};

fm_forward_args fresh_forward_args() {
  fm_forward_args args;
  fm_init_forward_args(&args, sizeof args);
  return args;
}

TEST_F(DlpackArguments, AForwardOfThemRuns) {
  request(FM_PASS_FORWARD, FM_MASK_C1);
  const std::uint64_t q = upload(std::vector<std::uint16_t>(kRows * kHeads * kDim, 0));
  // Keys and values in one buffer, [batch, seqlen, key or value, heads, head_dim]: strides and an offset.
  const std::uint64_t kv = upload(std::vector<std::uint16_t>(kKeys * 2 * kHeads * kDim, kOne));
  const std::uint64_t out = upload(std::vector<std::uint16_t>(kRows * kHeads * kDim, 0));
  const std::uint64_t lse = upload(std::vector<float>(kHeads * kRows, 0.0f));
  const std::uint64_t starts = upload(std::vector<std::int32_t>(kKeys, kRows));
  OwnedTensor query(q, {1, kRows, kHeads, kDim}), key(kv, {1, kKeys, kHeads, kDim}),
      value(kv, {1, kKeys, kHeads, kDim}), output(out, {1, kRows, kHeads, kDim}),
      statistics(lse, {1, kHeads, kRows}, {kDLFloat, 32, 1}), intervals(starts, {1, 1, kKeys, 1}, {kDLInt, 32, 1});
  for (OwnedTensor* tensor : {&key, &value})
    tensor->set_strides({2 * kKeys * kHeads * kDim, 2 * kHeads * kDim, kDim, 1});
  value.tensor.byte_offset = kHeads * kDim * sizeof(std::uint16_t);

  fm_forward_args args = fresh_forward_args();
  args.softmax_scale = 0.5f;
  ASSERT_EQ(fm_forward_args_from_dlpack(kernel_, &query.tensor, &key.tensor, &value.tensor, &output.tensor,
                                        &statistics.tensor, &intervals.tensor, &args),
            FM_OK)
      << fm_last_error();
  EXPECT_EQ(args.batch, 1);
  EXPECT_EQ(args.seqlen_q, kRows);
  EXPECT_EQ(args.seqlen_k, kKeys);
  EXPECT_EQ(args.num_heads_q, kHeads);
  EXPECT_EQ(args.num_heads_kv, kHeads);
  EXPECT_EQ(args.num_heads_mask, 1);
  EXPECT_EQ(args.value.data, kv + kHeads * kDim * sizeof(std::uint16_t));
  EXPECT_EQ(args.value.stride_seqlen, 2 * kHeads * kDim);
  EXPECT_EQ(args.query.stride_seqlen, kHeads * kDim);
  EXPECT_EQ(args.softmax_scale, 0.5f) << "what is no tensor stays";
  ASSERT_EQ(fm_kernel_launch_forward(kernel_, &args, 0, nullptr), FM_OK) << fm_last_error();
  std::vector<std::uint16_t> result(kRows * kHeads * kDim);
  ASSERT_EQ(fm_device_copy_out(device_, result.data(), out, result.size() * 2, nullptr), FM_OK);
  EXPECT_THAT(result, ::testing::Each(kOne));
}

TEST_F(DlpackArguments, EveryBrokenRuleIsToldAtOnceAndTheArgumentsStay) {
  request(FM_PASS_FORWARD, FM_MASK_NONE);
  OwnedTensor query(4096, {1, kRows, kHeads, kDim}), key(4096, {1, kKeys, 1, kDim}),
      value(4096, {1, kKeys, 1, kDim + 8}), output(4096, {1, kRows, kHeads, kDim}, {kDLBfloat, 16, 1}),
      statistics(4096, {1, kHeads, kRows}, {kDLFloat, 32, 1}), intervals(4096, {1, 1, kKeys, 1}, {kDLInt, 32, 1});
  query.set_strides({1, 1, 1, 2});
  key.tensor.device = {kDLCUDA, 1};
  statistics.set_strides({kHeads * kRows, 1, kHeads});
  fm_forward_args args = fresh_forward_args();
  EXPECT_EQ(fm_forward_args_from_dlpack(kernel_, &query.tensor, &key.tensor, &value.tensor, &output.tensor,
                                        &statistics.tensor, &intervals.tensor, &args),
            FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(),
              AllOf(HasSubstr("query has the stride 2 between elements of a row: 1 is needed"),
                    HasSubstr("key lies on a device of type 2, number 1: the kernel's is PTX emulator"),
                    HasSubstr("value has the shape [1, 5, 1, 40]: [1, 5, 1, 32] is needed"),
                    HasSubstr("output is of bfloat16: float16 is needed"), HasSubstr("lse is not contiguous"),
                    HasSubstr("startend_row_indices is given: the form none has no vectors")));
  EXPECT_EQ(args.batch, 0) << "nothing was written";
}

TEST_F(DlpackArguments, TensorsThatCannotBeReadAreToldApart) {
  request(FM_PASS_FORWARD, FM_MASK_C1);
  OwnedTensor flat(4096, {kRows, kDim}), negative(4096, {1, -3, kHeads, kDim}),
      shapeless(4096, {1, kKeys, kHeads, kDim});
  shapeless.tensor.shape = nullptr;
  fm_forward_args args = fresh_forward_args();
  EXPECT_EQ(fm_forward_args_from_dlpack(kernel_, &flat.tensor, &negative.tensor, &shapeless.tensor, nullptr, nullptr,
                                        nullptr, &args),
            FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(),
              AllOf(HasSubstr("query has 2 dimensions: 4 are needed"), HasSubstr("key has the shape [1, -3, 2, 32]"),
                    HasSubstr("value has"), HasSubstr("output is null")));
  EXPECT_EQ(fm_forward_args_from_dlpack(nullptr, &flat.tensor, nullptr, nullptr, nullptr, nullptr, nullptr, &args),
            FM_INVALID_ARGUMENT);
  EXPECT_EQ(fm_forward_args_from_dlpack(kernel_, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr),
            FM_INVALID_ARGUMENT);
}

TEST_F(DlpackArguments, AFormWithVectorsNeedsThem) {
  request(FM_PASS_FORWARD, FM_MASK_C2);
  OwnedTensor query(4096, {1, kRows, kHeads, kDim}), key(4096, {1, kKeys, kHeads, kDim}),
      intervals(4096, {1, 1, kKeys, 1}, {kDLInt, 32, 1});
  fm_forward_args args = fresh_forward_args();
  EXPECT_EQ(fm_forward_args_from_dlpack(kernel_, &query.tensor, &key.tensor, &key.tensor, &query.tensor, nullptr,
                                        nullptr, &args),
            FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("startend_row_indices is null"));
  EXPECT_EQ(fm_forward_args_from_dlpack(kernel_, &query.tensor, &key.tensor, &key.tensor, &query.tensor, nullptr,
                                        &intervals.tensor, &args),
            FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("startend_row_indices has the shape [1, 1, 5, 1]: [1, 1, 5, 2] is needed"));
}

TEST_F(DlpackArguments, GradientsFollowTheForward) {
  request(FM_PASS_BACKWARD, FM_MASK_NONE);
  fm_forward_args forward = fresh_forward_args();
  forward.batch = 2;
  forward.seqlen_q = kRows;
  forward.seqlen_k = kKeys;
  forward.num_heads_q = 4;
  forward.num_heads_kv = kHeads;
  OwnedTensor rows(4096, {2, kRows, 4, kDim}), keys(8192, {2, kKeys, kHeads, kDim}),
      statistics(12288, {2, 4, kRows}, {kDLFloat, 32, 1});
  fm_backward_args args;
  fm_init_backward_args(&args, sizeof args);
  EXPECT_EQ(
      fm_backward_args_from_dlpack(kernel_, &rows.tensor, nullptr, &rows.tensor, &keys.tensor, &keys.tensor, &args),
      FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("fm_backward_args.forward is null"));
  args.forward = &forward;
  ASSERT_EQ(fm_backward_args_from_dlpack(kernel_, &rows.tensor, &statistics.tensor, &rows.tensor, &keys.tensor,
                                         &keys.tensor, &args),
            FM_OK)
      << fm_last_error();
  EXPECT_EQ(args.output_gradient.data, 4096u);
  EXPECT_EQ(args.key_gradient.data, 8192u);
  EXPECT_EQ(args.key_gradient.stride_batch, kKeys * kHeads * kDim);
  EXPECT_EQ(args.lse_gradient, 12288u);
  EXPECT_EQ(fm_backward_args_from_dlpack(kernel_, &keys.tensor, nullptr, &rows.tensor, &rows.tensor, nullptr, &args),
            FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), AllOf(HasSubstr("output_gradient has the shape [2, 5, 2, 32]: [2, 3, 4, 32] is needed"),
                                     HasSubstr("key_gradient has the shape"), HasSubstr("value_gradient is null")));
}

}  // namespace
}  // namespace flashmask
