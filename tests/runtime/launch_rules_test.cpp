#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "flashmask/runtime.h"
#include "runtime/forward_kernel.h"
#include "runtime/launch_rules.h"
#include "runtime/precompile_command.h"
#include "runtime/target_match.h"

namespace flashmask {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

KernelDescriptor descriptor_of(MaskForm form) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 64;
  descriptor.head_dim_v = 128;
  descriptor.mask_form = form;
  return descriptor;
}

ForwardLaunch legal_launch(MaskForm form = MaskForm::kNone) {
  ForwardLaunch launch;
  launch.batch = 2;
  launch.seqlen_q = 100;
  launch.seqlen_k = 120;
  launch.num_heads_q = 8;
  launch.num_heads_kv = 2;
  launch.query = TensorView::contiguous(0x1000, 100, 8, 64);
  launch.key = TensorView::contiguous(0x2000, 120, 2, 64);
  launch.value = TensorView::contiguous(0x3000, 120, 2, 128);
  launch.output = TensorView::contiguous(0x4000, 100, 8, 128);
  launch.lse = 0x5000;
  launch.softmax_scale = 0.125f;
  if (vectors_per_column(form) > 0) launch.startend_row_indices = 0x6000;
  return launch;
}

/// The rules that a launch breaks after one change.
template <typename Change>
std::vector<std::string> rules_after(Change&& change, MaskForm form = MaskForm::kNone) {
  ForwardLaunch launch = legal_launch(form);
  change(launch);
  return broken_rules(descriptor_of(form), launch);
}

TEST(LaunchRules, ALegalLaunchBreaksNone) {
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                        MaskForm::kF2, MaskForm::kF4})
    EXPECT_THAT(broken_rules(descriptor_of(form), legal_launch(form)), IsEmpty()) << to_string(form);
}

TEST(LaunchRules, ExtentsArePositiveAndFitTheGrid) {
  EXPECT_THAT(rules_after([](auto& l) { l.batch = 0; }), ElementsAre(HasSubstr("batch = 0")));
  EXPECT_THAT(rules_after([](auto& l) { l.batch = 65536; }), ElementsAre(HasSubstr("65535")));
  EXPECT_THAT(rules_after([](auto& l) { l.seqlen_q = 0; }), ElementsAre(HasSubstr("seqlen_q = 0")));
  EXPECT_THAT(rules_after([](auto& l) { l.seqlen_k = -3; }), ElementsAre(HasSubstr("seqlen_k = -3")));
  EXPECT_THAT(rules_after([](auto& l) { l.seqlen_k = std::numeric_limits<int>::max(); }),
              ElementsAre(HasSubstr("seqlen_k = 2147483647")));
  EXPECT_THAT(rules_after([](auto& l) { l.num_heads_q = 0; }), ElementsAre(HasSubstr("num_heads_q = 0")));
  EXPECT_THAT(rules_after([](auto& l) { l.num_heads_kv = 0; }), ElementsAre(HasSubstr("num_heads_kv = 0")));
  EXPECT_THAT(rules_after([](auto& l) { l.num_heads_kv = 3; }), ElementsAre(HasSubstr("multiple")));
}

TEST(LaunchRules, TensorsAreThereAndAligned) {
  EXPECT_THAT(rules_after([](auto& l) { l.query.data = 0; }), ElementsAre(HasSubstr("query is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.output.data = 0; }), ElementsAre(HasSubstr("output is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.key.data += 8; }), ElementsAre(HasSubstr("key is at 0x2008")));
  EXPECT_THAT(rules_after([](auto& l) { l.value.stride_seqlen = 260; }),
              ElementsAre(HasSubstr("seqlen stride is 260")));
  EXPECT_THAT(rules_after([](auto& l) { l.lse = 0; }), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.lse = 0x5002; }), ElementsAre(HasSubstr("lse is at 0x5002")));
}

TEST(LaunchRules, AStrideThatIsNeverUsedMayBeAnything) {
  EXPECT_THAT(rules_after([](auto& l) {
                l.batch = 1;
                l.query.stride_batch = 3;
                l.output.stride_batch = 1;
              }),
              IsEmpty());
}

TEST(LaunchRules, InputsMayBeBroadcastButRowsOfTheOutputMayNotOverlap) {
  EXPECT_THAT(rules_after([](auto& l) { l.key.stride_head = 0; }), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.key.stride_seqlen = -256; }), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.output.stride_head = 64; }), ElementsAre(HasSubstr("overlap")));
  EXPECT_THAT(rules_after([](auto& l) { l.output.stride_batch = 0; }), ElementsAre(HasSubstr("overlap")));
}

TEST(LaunchRules, StridesThatOverflowAnAddressAreRefused) {
  EXPECT_THAT(rules_after([](auto& l) { l.query.stride_batch = std::int64_t{1} << 62; }),
              ElementsAre(HasSubstr("overflows")));
  EXPECT_THAT(rules_after([](auto& l) { l.query.stride_batch = std::numeric_limits<std::int64_t>::min(); }),
              ElementsAre(HasSubstr("overflows")));
}

TEST(LaunchRules, RowsThatAreReadLieLessThanTwoGibibytesApart) {
  const std::int64_t limit = std::int64_t{1} << 30;  // elements of 2 bytes
  EXPECT_THAT(rules_after([&](auto& l) { l.key.stride_seqlen = limit; }),
              ElementsAre(HasSubstr("less than 1073741824")));
  EXPECT_THAT(rules_after([&](auto& l) { l.value.stride_seqlen = -limit; }),
              ElementsAre(HasSubstr("value: the seqlen")));
  EXPECT_THAT(rules_after([&](auto& l) { l.query.stride_seqlen = limit - 8; }), IsEmpty());
  EXPECT_THAT(rules_after([&](auto& l) { l.output.stride_seqlen = limit; }), IsEmpty());
}

/// The same rules of a kernel whose tensors are moved by tensor copies.
template <typename Change>
std::vector<std::string> hopper_rules_after(Change&& change) {
  KernelDescriptor descriptor = descriptor_of(MaskForm::kNone);
  descriptor.target = {90, true};
  ForwardLaunch launch = legal_launch();
  change(launch);
  return broken_rules(descriptor, launch);
}

TEST(LaunchRules, TensorCopiesTakeStridesFromZeroToHalfATebibyte) {
  EXPECT_THAT(hopper_rules_after([](auto&) {}), IsEmpty());
  const auto negative = [](const char* name, const char* axis, const char* stride) {
    return ElementsAre(::testing::AllOf(HasSubstr(std::string(name) + ": the " + axis + " stride is " + stride),
                                        HasSubstr("0 to 549755813887"), HasSubstr("sm_90")));
  };
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.query.stride_batch = -800 * 64; }),
              negative("query", "batch", "-51200"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.key.stride_seqlen = -256; }), negative("key", "seqlen", "-256"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.value.stride_head = -128; }), negative("value", "head", "-128"));
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.output.stride_seqlen = -1024; }),
              negative("output", "seqlen", "-1024"));
  const std::int64_t limit = std::int64_t{1} << 39;
  EXPECT_THAT(hopper_rules_after([&](auto& l) { l.value.stride_batch = limit; }),
              negative("value", "batch", "549755813888"));
  EXPECT_THAT(hopper_rules_after([&](auto& l) { l.value.stride_batch = limit - 8; }), IsEmpty());
  EXPECT_THAT(hopper_rules_after([](auto& l) { l.key.stride_head = l.value.stride_batch = 0; }), IsEmpty());
  EXPECT_THAT(hopper_rules_after([](auto& l) {
                l.batch = 1;
                l.query.stride_batch = -3;
                l.output.stride_batch = std::int64_t{1} << 50;
              }),
              IsEmpty());
}

TEST(LaunchRules, AllOtherKernelsTakeNegativeStrides) {
  EXPECT_THAT(rules_after([](auto& l) { l.key.stride_seqlen = -256; }), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.query.stride_batch = -800 * 64; }), IsEmpty());
}

TEST(LaunchRules, AWorkspaceIsThereAlignedAndLargeEnough) {
  const auto broken = [](const Workspace& workspace) {
    RuleCollector rules;
    check_workspace(rules, workspace, 1000);
    return rules.take();
  };
  EXPECT_THAT(broken({0x1000, 1000}), IsEmpty());
  EXPECT_THAT(broken({0x1000, 5000}), IsEmpty());
  EXPECT_THAT(broken({0x1008, 1000}), ElementsAre(HasSubstr("the workspace is at 0x1008: a multiple of 16")));
  EXPECT_THAT(broken({0x1000, 999}), ElementsAre(HasSubstr("the workspace has 999 bytes, 1000 are needed")));
  EXPECT_THAT(broken({}), ElementsAre(HasSubstr("the workspace is null: 1000 bytes of device memory"),
                                      HasSubstr("the workspace has 0 bytes")));
}

TEST(LaunchRules, TheScaleIsFiniteAndPositive) {
  for (float scale : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::nanf("")})
    EXPECT_THAT(rules_after([&](auto& l) { l.softmax_scale = scale; }), ElementsAre(HasSubstr("softmax_scale")))
        << scale;
}

TEST(LaunchRules, VectorsBelongToTheFormsThatHaveThem) {
  EXPECT_THAT(rules_after([](auto& l) { l.startend_row_indices = 0; }, MaskForm::kC1),
              ElementsAre(HasSubstr("is null")));
  EXPECT_THAT(rules_after([](auto& l) { l.startend_row_indices = 0x6000; }, MaskForm::kCausal),
              ElementsAre(HasSubstr("form causal has none")));
  EXPECT_THAT(rules_after([](auto& l) { l.startend_row_indices = 0x6004; }, MaskForm::kC1), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.startend_row_indices = 0x6004; }, MaskForm::kF2),
              ElementsAre(HasSubstr("8 bytes")));
  for (int heads : {1, 2, 8})
    EXPECT_THAT(rules_after([&](auto& l) { l.num_heads_mask = heads; }, MaskForm::kF4), IsEmpty()) << heads;
  for (int heads : {0, -1, 3, 4})
    EXPECT_THAT(rules_after([&](auto& l) { l.num_heads_mask = heads; }, MaskForm::kF4),
                ElementsAre(HasSubstr("num_heads_mask")))
        << heads;
}

TEST(LaunchRules, AWindowBelongsToItsForm) {
  EXPECT_THAT(rules_after([](auto& l) { l.window_left = 4; }), ElementsAre(HasSubstr("window = (4, -1)")));
  EXPECT_THAT(rules_after([](auto& l) { l.window_left = 0; }, MaskForm::kWindow), IsEmpty());
  EXPECT_THAT(rules_after([](auto& l) { l.window_left = -2; }, MaskForm::kWindow),
              ElementsAre(HasSubstr("window_left = -2")));
}

TEST(LaunchRules, EveryBrokenRuleIsListed) {
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kC1), ForwardLaunch{}), SizeIs(::testing::Ge(10u)));
}

/// A launch of form C2 with a plan; what changes is the plan.
template <typename Change>
std::vector<std::string> plan_rules_after(Change&& change) {
  ForwardLaunch launch = legal_launch(MaskForm::kC2);
  launch.num_heads_mask = 2;
  launch.plan = {.data = 0x8000,
                 .bytes = 1 << 20,
                 .mask = {.form = MaskForm::kC2, .batch = 2, .num_heads = 2, .seqlen_q = 100, .seqlen_k = 120},
                 .tile = {128, 64}};
  change(launch.plan);
  return broken_rules(descriptor_of(MaskForm::kC2), launch, {128, 64, 4, 2, false});
}

TEST(LaunchRules, APlanIsOfThisMaskAndTheseTiles) {
  EXPECT_THAT(plan_rules_after([](auto&) {}), IsEmpty());
  EXPECT_THAT(plan_rules_after([](auto& p) { p.mask.seqlen_k = 121; }),
              ElementsAre(HasSubstr("the plan has seqlen_k = 121, the launch 120")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.mask.seqlen_q = 64; }), ElementsAre(HasSubstr("seqlen_q = 64")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.mask.batch = 1; }), ElementsAre(HasSubstr("batch = 1")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.mask.num_heads = 8; }), ElementsAre(HasSubstr("num_heads_mask = 8")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.mask.form = MaskForm::kF2; }),
              ElementsAre(HasSubstr("the plan is of form f2")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.mask.causal_alignment = CausalAlignment::kTopLeft; }),
              ElementsAre(HasSubstr("top-left")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.tile = {64, 64}; }),
              ElementsAre(HasSubstr("the plan has tiles of 64 x 64, the kernel of 128 x 64")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.tile = {}; }), ElementsAre(HasSubstr("0 x 0"), HasSubstr("0 x 0")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.bytes = 100; }), ElementsAre(HasSubstr("the plan has 100 bytes")));
  EXPECT_THAT(plan_rules_after([](auto& p) { p.data = 0x8004; }), ElementsAre(HasSubstr("0x8004")));
}

TEST(LaunchRules, ClosedFormsTakeNoPlan) {
  EXPECT_THAT(rules_after([](auto& l) { l.plan.data = 0x8000; }, MaskForm::kCausal),
              ElementsAre(HasSubstr("form causal needs none")));
}

TEST(LaunchRules, AllQueryTilesOfALaunchAreCountedIn31Bits) {
  ForwardLaunch launch = legal_launch();
  launch.batch = launch.num_heads_q = launch.num_heads_kv = 32768;
  const TileConfig config{128, 64, 4, 2, false};
  launch.seqlen_q = 2 * 128;
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kNone), launch, config),
              ElementsAre(HasSubstr("2 query tiles of 128 rows for each of 1073741824 heads")));
  launch.seqlen_q = 128;
  EXPECT_THAT(broken_rules(descriptor_of(MaskForm::kNone), launch, config), IsEmpty());
}

TEST(ForwardArguments, SectionsAreWholeGroupsOfHeadsWhoseKeysAndValuesFitHalfTheL2) {
  ForwardLaunch launch = legal_launch();  // 8 query heads share 2 key heads, of dims 64 and 128
  launch.seqlen_k = 1024;                 // 384 KiB of keys and values a head
  const auto section_heads = [&](std::size_t l2_bytes) {
    return forward_arguments(descriptor_of(MaskForm::kNone), {128, 64, 4, 2, false}, launch, l2_bytes).section_heads;
  };
  EXPECT_EQ(section_heads(0), 4);
  EXPECT_EQ(section_heads(1 << 20), 4);
  EXPECT_EQ(section_heads(5 << 19), 4 * 3);
  EXPECT_EQ(section_heads(std::size_t{1} << 40), launch.batch * 8);
}

TEST(ForwardArguments, TheDiagonalEndsAtTheBottomRightOrStartsAtTheTopLeft) {
  KernelDescriptor descriptor = descriptor_of(MaskForm::kCausal);
  ForwardLaunch launch = legal_launch();
  launch.seqlen_q = 100;
  launch.seqlen_k = 120;
  EXPECT_EQ(forward_arguments(descriptor, {128, 64, 4, 2, false}, launch, 0).diagonal_offset, 20);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  EXPECT_EQ(forward_arguments(descriptor, {128, 64, 4, 2, false}, launch, 0).diagonal_offset, 0);
}

TEST(ForwardArguments, CarryTheLaunch) {
  ForwardLaunch launch = legal_launch(MaskForm::kC1);
  launch.num_heads_mask = 2;
  const ForwardArguments arguments = forward_arguments(descriptor_of(MaskForm::kC1), {128, 64, 4, 2, false}, launch, 0);
  EXPECT_EQ(arguments.query, reinterpret_cast<const void*>(0x1000));
  EXPECT_EQ(arguments.key_strides.seqlen, 128);
  EXPECT_EQ(arguments.output_strides.batch, 100 * 8 * 128);
  EXPECT_EQ(arguments.num_heads_mask, 2);
  EXPECT_EQ(arguments.heads_per_mask_head, 4);
  EXPECT_EQ(arguments.row_tiles, 1);
  EXPECT_EQ(arguments.class_words, 1);
  EXPECT_EQ(arguments.cut_key_tile, 1);  // 120 keys in tiles of 64
  EXPECT_EQ(arguments.plan_work, nullptr);
  EXPECT_FLOAT_EQ(arguments.softmax_scale_log2, 0.125f * std::numbers::log2e_v<float>);
}

TEST(ForwardArguments, AWindowBeyondEveryKeyIsUnbounded) {
  ForwardLaunch launch = legal_launch();
  launch.window_left = std::numeric_limits<int>::max();
  launch.window_right = 219;
  const ForwardArguments arguments =
      forward_arguments(descriptor_of(MaskForm::kWindow), {128, 64, 4, 2, false}, launch, 0);
  EXPECT_EQ(arguments.window_left, -1);
  EXPECT_EQ(arguments.window_right, 219);
}

TEST(TargetMatch, AGpuTakesOlderCodeOfItsMajorVersionAndItsOwnSpecificCode) {
  DeviceProperties ada;
  ada.kind = DeviceKind::kCuda;
  ada.name = "a GPU";
  ada.target = {89, false};
  EXPECT_EQ(refuse_target({80, false}, ada), std::nullopt);
  EXPECT_EQ(refuse_target({86, false}, ada), std::nullopt);
  EXPECT_EQ(refuse_target({89, false}, ada), std::nullopt);
  EXPECT_THAT(refuse_target({90, false}, ada), Optional(HasSubstr("sm_90 does not run on a GPU")));
  EXPECT_THAT(refuse_target({90, true}, ada), Optional(HasSubstr("takes sm_89")));
  DeviceProperties hopper = ada;
  hopper.target = {90, false};
  EXPECT_EQ(refuse_target({90, true}, hopper), std::nullopt);
  EXPECT_THAT(refuse_target({89, false}, hopper), Optional(HasSubstr("sm_89")));
  EXPECT_THAT(refuse_target({100, true}, hopper), Optional(HasSubstr("sm_100a")));
  hopper.target = {90, true};  // as a GPU of compute capability 9.0 names itself
  EXPECT_EQ(refuse_target({90, true}, hopper), std::nullopt);
  EXPECT_EQ(refuse_target({90, false}, hopper), std::nullopt);
  EXPECT_THAT(refuse_target({80, false}, hopper), Optional(HasSubstr("takes sm_90 and sm_90a")));
  DeviceProperties emulator = ada;
  emulator.kind = DeviceKind::kEmulator;
  EXPECT_EQ(refuse_target({120, false}, emulator), std::nullopt);
}

TEST(PrecompileCommand, NamesAConfigurationWholeSoThatItIsReadBack) {
  KernelDescriptor descriptor = descriptor_of(MaskForm::kC1);
  descriptor.target = {90, true};
  for (const TileConfig& config : {TileConfig{128, 64, 8, 3, false, 1, false, true, 2}, TileConfig{64, 96, 4, 2}}) {
    const std::string command = precompile_command(descriptor, config);
    const std::size_t at = command.find(" --config ");
    ASSERT_NE(at, std::string::npos) << command;
    EXPECT_THAT(parse_tile_config(command.substr(at + 10)), Optional(config)) << command;
  }
}

TEST(PrecompileCommand, NamesEverythingThatIsNotUsual) {
  KernelDescriptor descriptor = descriptor_of(MaskForm::kC1);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  TileConfig config = default_tile_config(descriptor);
  EXPECT_EQ(precompile_command(descriptor, config),
            "flashmask compile --pass forward --dtype bf16 --head-dim 64,128 --form c1 --causal-alignment top-left "
            "--target sm_80");
  config.tile_k += 16;
  EXPECT_THAT(precompile_command(descriptor, config), HasSubstr(" --target sm_80 --config 128x80,w4,s2"));
  descriptor.pass = Pass::kBackward;
  descriptor.deterministic = true;
  EXPECT_EQ(precompile_command(descriptor, default_tile_config(descriptor)),
            "flashmask compile --pass backward --dtype bf16 --head-dim 64,128 --form c1 --causal-alignment top-left "
            "--target sm_80 --deterministic");
}

}  // namespace
}  // namespace flashmask
