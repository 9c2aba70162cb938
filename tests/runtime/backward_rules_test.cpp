#include "runtime/backward_rules.h"

#include <gmock/gmock.h>

#include "allocation_counter.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kBatch = 2, kSeqlenQ = 100, kSeqlenK = 120, kHeadsQ = 8, kHeadsKv = 2, kDimQk = 64, kDimV = 128;
constexpr TileConfig kConfig{128, 64, 4, 2, false};
// Enough for each array of the launch.
constexpr DevicePointer kApart = 0x100000;

KernelDescriptor descriptor_of(MaskForm form) {
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.head_dim_qk = kDimQk;
  descriptor.head_dim_v = kDimV;
  descriptor.mask_form = form;
  return descriptor;
}

BackwardLaunch legal_launch(MaskForm form = MaskForm::kNone) {
  BackwardLaunch launch;
  ForwardLaunch& forward = launch.forward;
  forward.batch = kBatch;
  forward.seqlen_q = kSeqlenQ;
  forward.seqlen_k = kSeqlenK;
  forward.num_heads_q = kHeadsQ;
  forward.num_heads_kv = kHeadsKv;
  forward.query = TensorView::contiguous(1 * kApart, kSeqlenQ, kHeadsQ, kDimQk);
  forward.key = TensorView::contiguous(2 * kApart, kSeqlenK, kHeadsKv, kDimQk);
  forward.value = TensorView::contiguous(3 * kApart, kSeqlenK, kHeadsKv, kDimV);
  forward.output = TensorView::contiguous(4 * kApart, kSeqlenQ, kHeadsQ, kDimV);
  forward.lse = 5 * kApart;
  forward.softmax_scale = 0.125f;
  if (vectors_per_column(form) > 0) {
    forward.startend_row_indices = 6 * kApart;
    forward.plan = {.data = 7 * kApart,
                    .bytes = 1 << 16,
                    .mask = {.form = form, .batch = kBatch, .num_heads = 1, .seqlen_q = kSeqlenQ, .seqlen_k = kSeqlenK},
                    .tile = {kConfig.tile_q, kConfig.tile_k}};
  }
  launch.output_gradient = TensorView::contiguous(8 * kApart, kSeqlenQ, kHeadsQ, kDimV);
  launch.lse_gradient = 9 * kApart;
  launch.query_gradient = TensorView::contiguous(10 * kApart, kSeqlenQ, kHeadsQ, kDimQk);
  launch.key_gradient = TensorView::contiguous(11 * kApart, kSeqlenK, kHeadsKv, kDimQk);
  launch.value_gradient = TensorView::contiguous(12 * kApart, kSeqlenK, kHeadsKv, kDimV);
  return launch;
}

/// The rules that a launch breaks after one change.
template <typename Change>
std::vector<std::string> rules_after(Change&& change, MaskForm form = MaskForm::kNone) {
  BackwardLaunch launch = legal_launch(form);
  change(launch);
  return broken_rules(descriptor_of(form), launch, kConfig);
}

TEST(BackwardRules, ALegalLaunchBreaksNone) {
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                        MaskForm::kF2, MaskForm::kF4}) {
    EXPECT_THAT(broken_rules(descriptor_of(form), legal_launch(form)), IsEmpty()) << to_string(form);
    EXPECT_THAT(broken_rules(descriptor_of(form), legal_launch(form), kConfig), IsEmpty()) << to_string(form);
  }
  EXPECT_THAT(rules_after([](auto& l) { l.lse_gradient = 0; }), IsEmpty());
}

TEST(BackwardRules, EveryRuleOfTheForwardIsOneOfTheBackward) {
  EXPECT_THAT(rules_after([](auto& l) { l.forward.batch = 0; }), ElementsAre(HasSubstr("batch = 0")));
  EXPECT_THAT(rules_after([](auto& l) { l.forward.query.data = 0; }), ElementsAre(HasSubstr("query is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.forward.output.stride_head = 64; }), ElementsAre(HasSubstr("output: ")));
  EXPECT_THAT(rules_after([](auto& l) { l.forward.softmax_scale = 0; }), ElementsAre(HasSubstr("softmax_scale")));
  EXPECT_THAT(rules_after([](auto& l) { l.forward.num_heads_mask = 3; }, MaskForm::kF4),
              ElementsAre(HasSubstr("num_heads_mask = 3"), HasSubstr("the plan has num_heads_mask = 1, the launch 3")));
  EXPECT_THAT(rules_after([](auto& l) { l.forward.window_left = 4; }), ElementsAre(HasSubstr("window = (4, -1)")));
}

TEST(BackwardRules, ThePlanIsTheOneForTheBackwardsTiles) {
  BackwardLaunch launch = legal_launch(MaskForm::kC1);
  launch.forward.plan.tile = {64, 64};
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kC1), launch), IsEmpty());
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kC1), launch, kConfig),
              ElementsAre(HasSubstr("the plan has tiles of 64 x 64, the kernel of 128 x 64")));
}

TEST(BackwardRules, TheLseOfTheForwardIsNeeded) {
  EXPECT_THAT(rules_after([](auto& l) { l.forward.lse = 0; }), ElementsAre(HasSubstr("lse is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.forward.lse += 2; }), ElementsAre(HasSubstr("lse is at 0x500002")));
  EXPECT_THAT(rules_after([](auto& l) { l.lse_gradient += 2; }),
              ElementsAre(HasSubstr("lse_gradient is at 0x900002: float32 needs a multiple of 4 bytes")));
}

TEST(BackwardRules, GradientsAreTensorsLikeTheOthers) {
  EXPECT_THAT(rules_after([](auto& l) { l.output_gradient.data = 0; }),
              ElementsAre(HasSubstr("output_gradient is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.query_gradient.data = 0; }),
              ElementsAre(HasSubstr("query_gradient is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.key_gradient.data += 8; }),
              ElementsAre(HasSubstr("key_gradient is at 0xb00008")));
  EXPECT_THAT(rules_after([](auto& l) { l.value_gradient.stride_seqlen = 260; }),
              ElementsAre(HasSubstr("value_gradient: the seqlen stride is 260 elements")));
  EXPECT_THAT(rules_after([](auto& l) { l.output_gradient.stride_seqlen = std::int64_t{1} << 30; }),
              ElementsAre(HasSubstr("output_gradient: the seqlen stride is 1073741824 elements: less than")));
}

/// The rules that a launch of a kernel for sm_90a breaks after one change.
template <typename Change>
std::vector<std::string> hopper_rules_after(Change&& change) {
  KernelDescriptor descriptor = descriptor_of(MaskForm::kNone);
  descriptor.target = {90, true};
  BackwardLaunch launch = legal_launch();
  change(launch);
  return broken_rules(descriptor, launch);
}

auto is_refused_stride(const std::string& name, const std::string& axis, const std::string& stride) {
  return ElementsAre(
      AllOf(HasSubstr(name + ": the " + axis + " stride is " + stride + " elements: the tensor copies of sm_90a"),
            HasSubstr("take 0 to 549755813887; request the kernel for sm_90, or copy the tensor")));
}

TEST(BackwardRules, TensorCopiesTakeQKVAndTheGradientThatComesInAtStridesFromZeroToHalfATebibyte) {
  EXPECT_THAT(hopper_rules_after([](auto&) {}), IsEmpty());
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.output_gradient.stride_batch = -800 * 128; }),
              is_refused_stride("output_gradient", "batch", "-102400"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.output_gradient.stride_seqlen = -1024; }),
              is_refused_stride("output_gradient", "seqlen", "-1024"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.output_gradient.stride_head = -128; }),
              is_refused_stride("output_gradient", "head", "-128"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.forward.query.stride_seqlen = -512; }),
              is_refused_stride("query", "seqlen", "-512"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.forward.key.stride_head = -64; }),
              is_refused_stride("key", "head", "-64"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.forward.value.stride_batch = -120 * 256; }),
              is_refused_stride("value", "batch", "-30720"));

  constexpr std::int64_t kLimit = std::int64_t{1} << 39;
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.output_gradient.stride_batch = kLimit; }),
              is_refused_stride("output_gradient", "batch", "549755813888"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.output_gradient.stride_batch = kLimit - 8; }), IsEmpty());
  // Broadcast, as the gradient of a sum is; and a stride that is never used.
  EXPECT_THAT(hopper_rules_after([](auto& l) {
                l.output_gradient.stride_batch = l.output_gradient.stride_seqlen = l.output_gradient.stride_head = 0;
              }),
              IsEmpty());
  EXPECT_THAT(hopper_rules_after([](auto& l) {
                l.forward.batch = 1;
                l.output_gradient.stride_batch = -3;
              }),
              IsEmpty());
}

TEST(BackwardRules, EveryStrideThatTensorCopiesCannotTakeIsListed) {
  EXPECT_THAT(hopper_rules_after([](auto& l) {
                l.forward.key.stride_head = -64;
                l.output_gradient.stride_seqlen = -1024;
                l.output_gradient.stride_head = -128;
              }),
              ElementsAre(HasSubstr("key: the head stride is -64"), HasSubstr("output_gradient: the seqlen stride"),
                          HasSubstr("output_gradient: the head stride is -128")));
}

TEST(BackwardRules, WhatIsNotCopiedByTensorCopiesMayLieFromTheLastToTheFirstOnSm90aToo) {
  // The output is read, and the gradients are written, by ordinary accesses.
  const auto reverse = [](TensorView& tensor, int seqlen) {
    tensor.data += static_cast<DevicePointer>(2 * (seqlen - 1) * tensor.stride_seqlen);
    tensor.stride_seqlen = -tensor.stride_seqlen;
  };
  EXPECT_THAT(hopper_rules_after([&](auto& l) {
                reverse(l.forward.output, kSeqlenQ);
                reverse(l.query_gradient, kSeqlenQ);
                reverse(l.key_gradient, kSeqlenK);
                reverse(l.value_gradient, kSeqlenK);
              }),
              IsEmpty());
}

TEST(BackwardRules, AllOtherKernelsTakeNegativeStridesOfTheGradientThatComesIn) {
  EXPECT_THAT(rules_after([](auto& l) { l.output_gradient.stride_seqlen = -1024; }), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.output_gradient.stride_head = -128; }), IsEmpty());
}

TEST(BackwardRules, TheGradientThatComesInMayBeBroadcastButRowsOfThoseThatAreWrittenMayNotOverlap) {
  EXPECT_THAT(rules_after([](auto& l) {
                l.output_gradient.stride_batch = l.output_gradient.stride_seqlen = l.output_gradient.stride_head = 0;
              }),
              IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.query_gradient.stride_head = 0; }),
              ElementsAre(AllOf(HasSubstr("query_gradient"), HasSubstr("rows of 64 elements overlap"))));
  EXPECT_THAT(rules_after([](auto& l) { l.key_gradient.stride_batch = 0; }),
              ElementsAre(AllOf(HasSubstr("key_gradient"), HasSubstr("rows of 64 elements overlap"))));
  EXPECT_THAT(rules_after([](auto& l) { l.value_gradient.stride_seqlen = 120; }),
              ElementsAre(AllOf(HasSubstr("value_gradient"), HasSubstr("rows of 128 elements overlap"))));
}

TEST(BackwardRules, WhatIsWrittenOverlapsNothingElse) {
  // One byte of each array lies where the first row of dQ is, or its last.
  const BackwardLaunch legal = legal_launch(MaskForm::kF2);
  const DevicePointer last_row =
      legal.query_gradient.data + (std::size_t{kBatch} * kSeqlenQ * kHeadsQ - 1) * kDimQk * 2;
  for (const DevicePointer at : {legal.query_gradient.data, last_row}) {
    const auto expect_refused = [&](const char* name, auto&& pointer) {
      EXPECT_THAT(rules_after([&](BackwardLaunch& l) { pointer(l) = at; }, MaskForm::kF2), ElementsAre(HasSubstr(name)))
          << at;
    };
    expect_refused(
        "query_gradient overlaps query:", [](BackwardLaunch& l) -> DevicePointer& { return l.forward.query.data; });
    expect_refused("query_gradient overlaps lse:", [](BackwardLaunch& l) -> DevicePointer& { return l.forward.lse; });
    expect_refused(
        "query_gradient overlaps lse_gradient:", [](BackwardLaunch& l) -> DevicePointer& { return l.lse_gradient; });
    expect_refused("query_gradient overlaps startend_row_indices:", [](BackwardLaunch& l) -> DevicePointer& {
      return l.forward.startend_row_indices;
    });
    expect_refused(
        "query_gradient overlaps the plan:", [](BackwardLaunch& l) -> DevicePointer& { return l.forward.plan.data; });
  }
  // Tensors of other shapes: the same first row is enough to know.
  EXPECT_THAT(rules_after([](auto& l) { l.key_gradient.data = l.forward.key.data; }),
              ElementsAre(HasSubstr("key_gradient overlaps key: it is written while the other is in use")));
  EXPECT_THAT(rules_after([](auto& l) { l.value_gradient.data = l.forward.value.data; }),
              ElementsAre(HasSubstr("value_gradient overlaps value:")));
  EXPECT_THAT(rules_after([](auto& l) { l.query_gradient.data = l.forward.output.data; }),
              ElementsAre(HasSubstr("query_gradient overlaps output:")));
  EXPECT_THAT(rules_after([](auto& l) { l.query_gradient.data = l.output_gradient.data; }),
              ElementsAre(HasSubstr("query_gradient overlaps output_gradient:")));
  EXPECT_THAT(rules_after([](auto& l) { l.key_gradient.data = l.query_gradient.data; }),
              ElementsAre(HasSubstr("key_gradient overlaps query_gradient:")));
  EXPECT_THAT(rules_after([](auto& l) { l.value_gradient.data = l.key_gradient.data; }),
              ElementsAre(HasSubstr("value_gradient overlaps key_gradient:")));
}

/// All tensors of one head dim; q, k, v in one buffer [B, S, 3, H, D] and their gradients in another.
BackwardLaunch packed_launch() {
  BackwardLaunch launch = legal_launch();
  launch.forward.seqlen_k = kSeqlenQ;
  launch.forward.num_heads_kv = kHeadsQ;
  const auto part = [](DevicePointer buffer, int index) {
    const std::int64_t heads = std::int64_t{kHeadsQ} * kDimQk;
    return TensorView{buffer + 2 * index * heads, kSeqlenQ * 3 * heads, 3 * heads, kDimQk};
  };
  constexpr DevicePointer kInput = 0x1000000, kGradients = 0x2000000;
  launch.forward.query = part(kInput, 0);
  launch.forward.key = part(kInput, 1);
  launch.forward.value = part(kInput, 2);
  launch.query_gradient = part(kGradients, 0);
  launch.key_gradient = part(kGradients, 1);
  launch.value_gradient = part(kGradients, 2);
  launch.forward.output = TensorView::contiguous(4 * kApart, kSeqlenQ, kHeadsQ, kDimQk);
  launch.output_gradient = TensorView::contiguous(8 * kApart, kSeqlenQ, kHeadsQ, kDimQk);
  return launch;
}

KernelDescriptor packed_descriptor() {
  KernelDescriptor descriptor = descriptor_of(MaskForm::kNone);
  descriptor.head_dim_v = kDimQk;
  return descriptor;
}

TEST(BackwardRules, GradientsOfAPackedBufferDoNotOverlapThoughTheirAddressRangesDo) {
  const BackwardLaunch launch = packed_launch();
  EXPECT_THAT(broken_rules(packed_descriptor(), launch), IsEmpty());

  BackwardLaunch shifted = launch;  // by a row of one head: the last head of dQ is the first of dK
  shifted.query_gradient.data += 2 * kDimQk;
  EXPECT_THAT(broken_rules(packed_descriptor(), shifted),
              ElementsAre(HasSubstr("key_gradient overlaps query_gradient:")));
  BackwardLaunch in_place = launch;
  in_place.key_gradient = in_place.forward.value;
  EXPECT_THAT(broken_rules(packed_descriptor(), in_place), ElementsAre(HasSubstr("key_gradient overlaps value:")));
  BackwardLaunch reversed = launch;  // rows from the last to the first, all of them
  for (TensorView* tensor : {&reversed.query_gradient, &reversed.key_gradient, &reversed.value_gradient}) {
    tensor->data += static_cast<DevicePointer>(2 * (kSeqlenQ - 1) * tensor->stride_seqlen);
    tensor->stride_seqlen = -tensor->stride_seqlen;
  }
  EXPECT_THAT(broken_rules(packed_descriptor(), reversed), IsEmpty());
}

TEST(BackwardRules, GradientsInOneRangeWhoseStridesTellNothingAreRefusedWithWhatToDo) {
  BackwardLaunch launch = packed_launch();
  launch.key_gradient.stride_seqlen += 8;
  EXPECT_THAT(broken_rules(packed_descriptor(), launch),
              ElementsAre(AllOf(HasSubstr("key_gradient and query_gradient lie in one range of addresses"),
                                HasSubstr("give them the same batch and seqlen strides, or ranges of their own")),
                          HasSubstr("value_gradient and key_gradient lie in one range")));
}

TEST(BackwardRules, EveryBrokenRuleIsListedAndALegalLaunchAllocatesNothing) {
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kC1), BackwardLaunch{}), SizeIs(::testing::Ge(15u)));
  const KernelDescriptor descriptor = descriptor_of(MaskForm::kF4), packed = packed_descriptor();
  const BackwardLaunch launch = legal_launch(MaskForm::kF4), interleaved = packed_launch();
  const Workspace workspace{13 * kApart, 1 << 16};
  const std::uint64_t before = testing::allocations_of_this_thread();
  const bool is_legal = broken_rules(descriptor, launch, kConfig).empty() &&
                        broken_rules(packed, interleaved, kConfig).empty() &&
                        broken_workspace_rules(descriptor, launch, workspace, 1 << 16).empty();
  EXPECT_EQ(testing::allocations_of_this_thread(), before);
  EXPECT_TRUE(is_legal);
}

TEST(BackwardRules, TheWorkspaceFollowsFromLengthsAndHeadsThatAreLegal) {
  EXPECT_THAT(broken_extent_rules(legal_launch(), kConfig), IsEmpty());
  EXPECT_THAT(broken_extent_rules(BackwardLaunch{.forward = {.num_heads_mask = 1}}, kConfig), SizeIs(5));
  BackwardLaunch launch = legal_launch();
  launch.forward.num_heads_kv = 3;
  EXPECT_THAT(broken_extent_rules(launch, kConfig), ElementsAre(HasSubstr("num_heads_q = 8 and num_heads_kv = 3")));
}

TEST(BackwardRules, AGridHasRoomForTheTilesOfAllKeyHeads) {
  BackwardLaunch launch = legal_launch();
  constexpr int kBatches = 65535, kKeys = 1 << 22;
  launch.forward.batch = kBatches;
  launch.forward.seqlen_k = kKeys;
  // Room for tensors of that many rows.
  DevicePointer next = 0;
  const auto place = [&](TensorView& tensor, int seqlen, int heads, int head_dim) {
    next += DevicePointer{1} << 50;
    tensor = TensorView::contiguous(next, seqlen, heads, head_dim);
  };
  place(launch.forward.query, kSeqlenQ, kHeadsQ, kDimQk);
  place(launch.query_gradient, kSeqlenQ, kHeadsQ, kDimQk);
  place(launch.forward.output, kSeqlenQ, kHeadsQ, kDimV);
  place(launch.output_gradient, kSeqlenQ, kHeadsQ, kDimV);
  place(launch.forward.key, kKeys, kHeadsKv, kDimQk);
  place(launch.key_gradient, kKeys, kHeadsKv, kDimQk);
  place(launch.forward.value, kKeys, kHeadsKv, kDimV);
  place(launch.value_gradient, kKeys, kHeadsKv, kDimV);
  launch.forward.lse = next + (DevicePointer{1} << 50);
  launch.lse_gradient = next + (DevicePointer{1} << 51);
  EXPECT_THAT(broken_extent_rules(launch, kConfig), ElementsAre(HasSubstr("65536 key tiles")));
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kNone), launch, kConfig),
              ElementsAre(HasSubstr("65536 key tiles of 64 rows for each of 131070 heads")));
}

TEST(BackwardRules, AWorkspaceIsThereAlignedLargeEnoughAndApart) {
  const auto rules = [](Workspace workspace, std::size_t needed) {
    return broken_workspace_rules(descriptor_of(MaskForm::kC1), legal_launch(MaskForm::kC1), workspace, needed);
  };
  EXPECT_THAT(rules({13 * kApart, 1000}, 1000), IsEmpty());
  EXPECT_THAT(rules({13 * kApart, 2000}, 1000), IsEmpty());
  EXPECT_THAT(rules({}, 0), IsEmpty());
  EXPECT_THAT(rules({}, 1000), ElementsAre(HasSubstr("the workspace is null: 1000 bytes"),
                                           HasSubstr("the workspace has 0 bytes, 1000 are needed")));
  EXPECT_THAT(rules({13 * kApart + 8, 1000}, 1000),
              ElementsAre(HasSubstr("the workspace is at 0xd00008: a multiple of 16 bytes")));
  EXPECT_THAT(rules({13 * kApart, 999}, 1000), ElementsAre(HasSubstr("has 999 bytes, 1000 are needed")));

  const char* names[] = {"query",        "key",
                         "value",        "output",
                         "lse",          "startend_row_indices",
                         "the plan",     "output_gradient",
                         "lse_gradient", "query_gradient",
                         "key_gradient", "value_gradient"};
  for (int i = 0; i < 12; ++i) {
    const DevicePointer at = static_cast<DevicePointer>(i + 1) * kApart;
    EXPECT_THAT(rules({at - 992, 1000}, 1000),
                ElementsAre(HasSubstr("the workspace overlaps " + std::string(names[i]) + ":")));
    // What lies behind the bytes that are used is nobody's business.
    EXPECT_THAT(rules({at - 992, 1000}, 992), IsEmpty()) << names[i];
  }
}

}  // namespace
}  // namespace flashmask
