// What the writers of masks on the device refuse: everything that the host can see.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flashmask/device_masks.h"
#include "flashmask/runtime.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

using device_masks::CumulativeLengths;
using device_masks::DocumentIds;
using device_masks::Extents;
using device_masks::Output;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// What a call refuses; "" if it does not.
template <typename Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(DeviceMasks, RefuseExtentsWithTheNumbers) {
  const auto refused = [](MaskForm form, const Extents& extents) {
    return refusal([&] { device_masks::bytes_needed(form, extents); });
  };
  EXPECT_THAT(refused(MaskForm::kF4, {1, 1, 1}), HasSubstr("form = f4: c1 and f2 are written"));
  EXPECT_THAT(refused(MaskForm::kCausal, {1, 1, 1}), HasSubstr("form = causal"));
  EXPECT_THAT(refused(MaskForm::kC1, {0, -1, (1 << 29) + 1}),
              AllOf(HasSubstr("batch = 0: 1 to 65535"), HasSubstr("seqlen_q = -1: 1 to 536870912"),
                    HasSubstr("seqlen_k = 536870913: 1 to 536870912")));
  EXPECT_THAT(refused(MaskForm::kC1, {65536, 1, 1}), HasSubstr("batch = 65536"));
  EXPECT_EQ(device_masks::bytes_needed(MaskForm::kC1, {3, 10, 100}), 1200u);
  EXPECT_EQ(device_masks::bytes_needed(MaskForm::kF2, {65535, 1, 1 << 29}), std::size_t{65535} << 32);
}

TEST(DeviceMasks, RefuseEveryBrokenRuleAtOnce) {
  Runtime& runtime = tested_runtime();
  EXPECT_THAT(refusal([&] { device_masks::documents(runtime, {0, 20, 10}, CumulativeLengths{0, 0}, {0, 0}); }),
              AllOf(HasSubstr("batch = 0"), HasSubstr("seqlen_q = 20 with seqlen_k = 10"), HasSubstr("documents = 0"),
                    HasSubstr("sums is null"), HasSubstr("startend_row_indices is null")));
  EXPECT_THAT(refusal([&] { device_masks::causal_documents(runtime, {1, 20, 10}, DocumentIds{0}, {0, 39}); }),
              AllOf(HasSubstr("seqlen_q = 20 with seqlen_k = 10"), HasSubstr("ids is null"),
                    HasSubstr("startend_row_indices is null"), HasSubstr("has 39 bytes"), HasSubstr("need 40")));
  EXPECT_THAT(refusal([&] {
                device_masks::window_as_intervals(runtime, {1, 1, 0}, -2, -3, CausalAlignment::kBottomRight, {0, 0});
              }),
              AllOf(HasSubstr("seqlen_k = 0"), HasSubstr("left = -2"), HasSubstr("right = -3"), HasSubstr("null")));
  EXPECT_THAT(refusal([&] { device_masks::sliding_window(runtime, {1, 1, 1}, 0, {0, 0}); }),
              AllOf(HasSubstr("window = 0: at least 1"), HasSubstr("0 bytes"), HasSubstr("need 4")));
}

TEST(DeviceMasks, RefuseMemoryThatIsMisalignedTooSmallOrRead) {
  Runtime& runtime = tested_runtime();
  const Extents extents{.batch = 2, .seqlen_q = 10, .seqlen_k = 10};
  const DeviceBuffer memory(runtime.device(), 4096);
  const DevicePointer at = memory.get();
  const auto by_ids = [&](DevicePointer ids, const Output& output) {
    return refusal([&] { device_masks::documents(runtime, extents, DocumentIds{ids}, output); });
  };
  EXPECT_THAT(by_ids(at + 1024, {at + 4, 160}),
              AllOf(HasSubstr("form f2 needs a multiple of 8 bytes"), Not(HasSubstr("null"))));
  EXPECT_THAT(by_ids(at + 1026, {at, 160}), HasSubstr("int32 needs a multiple of 4 bytes"));
  EXPECT_THAT(by_ids(at + 1024, {at, 159}), AllOf(HasSubstr("159 bytes"), HasSubstr("2 x 10 keys"), HasSubstr("160")));
  // The ids have 80 bytes, the mask 160.
  EXPECT_THAT(by_ids(at + 156, {at, 160}), HasSubstr("overlaps startend_row_indices"));
  EXPECT_THAT(by_ids(at, {at + 72, 160}), HasSubstr("overlaps startend_row_indices"));
  EXPECT_THAT(
      refusal([&] { device_masks::causal_documents(runtime, extents, CumulativeLengths{at, 4}, {at + 36, 80}); }),
      HasSubstr("sums at"));
  const std::vector<std::int32_t> ids(20, 1);
  runtime.device()->copy_to_device(at + 160, std::as_bytes(std::span(ids)), nullptr);
  EXPECT_EQ(by_ids(at + 160, {at, 160}), "");
}

TEST(DeviceMasks, ARequestByDescriptorIsToldWhoMakesIt) {
  Runtime& runtime = tested_runtime();
  EXPECT_THAT(refusal([&] {
                runtime.request(KernelDescriptor::mask_build(MaskForm::kC1, runtime.device()->properties().target));
              }),
              HasSubstr("the functions of device_masks.h request it"));
  EXPECT_THAT(refusal([&] { device_masks::load(runtime, MaskForm::kC2); }), HasSubstr("mask_form = c2"));
}

}  // namespace
}  // namespace flashmask::forward_tests
