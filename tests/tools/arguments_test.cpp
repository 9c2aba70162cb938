#include "tools/command/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words kRun = {"run", "in", "-o", "out"};
const Words kCompile = {"compile", "--dtype", "bf16", "--head-dim", "128", "--target", "sm_80", "--form"};

RunArguments run_arguments(const Words& more) {
  return std::get<RunArguments>(parse_arguments(kRun + more));
}

/// The text of the usage error; empty when the words are legal.
std::string usage_error(const Words& words) {
  try {
    parse_arguments(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(Arguments, RunHasDefaults) {
  const RunArguments run = run_arguments({});
  EXPECT_EQ(run.input, "in");
  EXPECT_EQ(run.output, "out");
  EXPECT_FALSE(run.causal || run.backward || run.deterministic || run.verify || run.json);
  EXPECT_FALSE(run.causal_alignment || run.window || run.scale || run.target || run.tile || run.seed);
  EXPECT_EQ(run.device, DeviceChoice::kAuto);
}

TEST(Arguments, RunTakesEveryOption) {
  const RunArguments run =
      run_arguments({"--causal", "--causal-alignment", "top-left", "--scale", "0.25", "--device", "emulator",
                     "--target", "sm_90a", "--tile", "64,32", "--seed", "18446744073709551615", "--verify", "--json"});
  EXPECT_TRUE(run.causal && run.verify && run.json);
  EXPECT_EQ(run.causal_alignment, CausalAlignment::kTopLeft);
  EXPECT_EQ(run.scale, 0.25f);
  EXPECT_EQ(run.device, DeviceChoice::kEmulator);
  EXPECT_EQ(run.target, (Target{90, true}));
  EXPECT_EQ(std::get<TileShape>(run.tile.value()).query, 64);
  EXPECT_EQ(std::get<TileShape>(run.tile.value()).key, 32);
  EXPECT_EQ(run.seed, ~std::uint64_t{0});
}

TEST(Arguments, RunTakesABackwardWhichMayBeDeterministic) {
  EXPECT_TRUE(run_arguments({"--backward"}).backward);
  EXPECT_FALSE(run_arguments({"--backward"}).deterministic);
  EXPECT_TRUE(run_arguments({"--deterministic", "--backward"}).deterministic);
  EXPECT_THAT(usage_error(kRun + Words{"--deterministic"}),
              HasSubstr("--deterministic: only the backward has a choice, a forward always repeats its bits"));
}

TEST(Arguments, AWindowTakesMinusOneInBothSpellings) {
  for (const Words& words : {Words{"--window", "-1,3"}, Words{"--window=-1,3"}}) {
    const RunArguments run = run_arguments(words);
    EXPECT_EQ(run.window->left, -1);
    EXPECT_EQ(run.window->right, 3);
  }
}

TEST(Arguments, AWindowOfOtherNegativesOrHalfAWindowIsRefused) {
  for (const char* window : {"-2,0", "0,-2", "1", "1,", ",1", "1,2,3", "a,b", "1, 2", "2147483648,0", ""}) {
    EXPECT_THAT(usage_error(kRun + Words{"--window", window}), HasSubstr("--window")) << window;
  }
}

TEST(Arguments, AScaleThatIsNotFiniteAndPositiveIsRefused) {
  for (const char* scale : {"0", "-0", "-1", "nan", "inf", "-inf", "1e39", "1e-60", "x", "1x", ""}) {
    EXPECT_THAT(usage_error(kRun + Words{"--scale", scale}), HasSubstr("--scale")) << scale;
  }
}

TEST(Arguments, ValuesOutsideTheirListAreRefusedWithTheList) {
  EXPECT_THAT(usage_error(kRun + Words{"--device", "tpu"}), HasSubstr("auto, cuda or emulator"));
  EXPECT_THAT(usage_error(kRun + Words{"--target", "sm_12"}), HasSubstr("sm_80"));
  EXPECT_THAT(usage_error(kRun + Words{"--tile", "0,64"}), HasSubstr("--tile"));
  EXPECT_THAT(usage_error(kRun + Words{"--seed", "-1"}), HasSubstr("--seed"));
  EXPECT_THAT(usage_error(kRun + Words{"--causal-alignment", "middle"}), HasSubstr("bottom-right or top-left"));
  EXPECT_THAT(usage_error(kCompile + Words{"f3"}), HasSubstr("none, causal, window, c1, c2, f2 or f4"));
  EXPECT_THAT(usage_error(kCompile + Words{"c1", "--pass", "sideways"}),
              HasSubstr("forward, backward, mask-plan or mask-build"));
}

TEST(Arguments, WhatIsMissingOrTooMuchIsRefused) {
  EXPECT_NE(usage_error({}), "");
  EXPECT_NE(usage_error({"run"}), "");
  EXPECT_NE(usage_error({"run", "in"}), "");
  EXPECT_NE(usage_error({"walk"}), "");
  EXPECT_NE(usage_error(kRun + Words{"--fast"}), "");
  EXPECT_NE(usage_error(kRun + Words{"another"}), "");
  EXPECT_NE(usage_error(kRun + Words{"--scale"}), "");
  EXPECT_NE(usage_error(kRun + Words{"--scale", "1", "--scale", "2"}), "");
  EXPECT_NE(usage_error({"compile", "--dtype", "bf16"}), "");
}

TEST(Arguments, CompileMakesADescriptor) {
  const auto compile = std::get<CompileArguments>(
      parse_arguments({"compile", "--pass", "forward", "--dtype", "fp16", "--head-dim", "192,128", "--form", "c2",
                       "--target", "sm_90a", "--causal-alignment", "top-left", "--json"}));
  EXPECT_EQ(to_string(compile.descriptor), "forward fp16 d192/128 c2 top-left sm_90a");
  EXPECT_TRUE(compile.json);
}

TEST(Arguments, CompileTakesAManifestWithTargetsAndThreads) {
  const auto plain = std::get<CompileManifestArguments>(parse_arguments({"compile", "kernels.toml"}));
  EXPECT_EQ(plain.manifest, "kernels.toml");
  EXPECT_TRUE(plain.targets.empty());
  EXPECT_EQ(plain.jobs, std::nullopt);
  EXPECT_FALSE(plain.json);
  const auto full = std::get<CompileManifestArguments>(
      parse_arguments({"compile", "--target", "sm_80", "kernels.toml", "--target", "sm_90a", "-j", "3", "--json"}));
  EXPECT_EQ(full.manifest, "kernels.toml");
  EXPECT_EQ(full.targets, (std::vector<Target>{{80, false}, {90, true}}));
  EXPECT_EQ(full.jobs, 3);
  EXPECT_TRUE(full.json);
}

TEST(Arguments, WhatAManifestSaysIsNotSaidBesideIt) {
  for (const Words& words : {Words{"--form", "c1"}, Words{"--pass", "forward"}, Words{"--dtype", "bf16"},
                             Words{"--head-dim", "64"}, Words{"--causal-alignment", "top-left"},
                             Words{"--tile", "64,64"}, Words{"--config", "64x64,w4,s2"}, Words{"--deterministic"}})
    EXPECT_THAT(usage_error(Words{"compile", "kernels.toml"} + words), HasSubstr(words[0])) << words[0];
  EXPECT_THAT(usage_error({"compile", "a.toml", "b.toml"}), HasSubstr("b.toml"));
  for (const char* jobs : {"0", "-1", "1025", "x", ""})
    EXPECT_THAT(usage_error({"compile", "kernels.toml", "-j", jobs}), HasSubstr("an integer from 1 to 1024")) << jobs;
  EXPECT_THAT(usage_error({"compile", "kernels.toml", "--target", "sm_75"}), HasSubstr("--target sm_75"));
}

TEST(Arguments, OneKernelHasOneTargetAndOneThread) {
  EXPECT_THAT(usage_error(kCompile + Words{"c1", "--target", "sm_90"}), HasSubstr("one kernel has one target"));
  EXPECT_THAT(usage_error(kCompile + Words{"c1", "-j", "2"}), HasSubstr("-j 2: one kernel"));
  EXPECT_THAT(usage_error({"compile", "--dtype", "bf16", "--head-dim", "64", "--form", "c1"}),
              HasSubstr("--target is required"));
  EXPECT_THAT(usage_error({"inspect", "--dtype", "bf16", "--head-dim", "64", "--target", "sm_80"}),
              HasSubstr("--form is required"));
}

TEST(Arguments, RecordKeepsTheWordsOfTheCommandAsTheyAre) {
  const auto record = std::get<RecordArguments>(
      parse_arguments({"record", "-o", "kernels.toml", "--", "sh", "-c", "exit 3", "--", "--help", "-o"}));
  EXPECT_EQ(record.output, "kernels.toml");
  EXPECT_EQ(record.command, (Words{"sh", "-c", "exit 3", "--", "--help", "-o"}));
  for (const Words& words :
       {Words{"record", "-o", "x"}, Words{"record", "-o", "x", "--"}, Words{"record", "--", "true"},
        Words{"record", "-o", "x", "true"}, Words{"record", "-o", "x", "--", ""}})
    EXPECT_NE(usage_error(words), "");
}

TEST(Arguments, OnlyABackwardMayBeDeterministic) {
  for (const char* command : {"compile", "inspect", "explain"}) {
    Words words = kCompile + Words{"c1", "--deterministic"};
    words[0] = command;
    EXPECT_THAT(usage_error(words), HasSubstr("a forward always repeats its bits")) << command;
    EXPECT_EQ(usage_error(words + Words{"--pass", "backward"}), "") << command;
  }
  const auto compile =
      std::get<CompileArguments>(parse_arguments(kCompile + Words{"c1", "--deterministic", "--pass", "backward"}));
  EXPECT_EQ(to_string(compile.descriptor), "backward bf16 d128 c1 bottom-right sm_80 deterministic");
  EXPECT_THAT(usage_error({"compile", "--pass", "mask-plan", "--form", "c1", "--target", "sm_80", "--deterministic"}),
              HasSubstr("a mask-plan always repeats its bits"));
}

TEST(Arguments, TheKernelsOfMasksHaveNeitherDtypeNorHeadDimsNorTiles) {
  const Words plan = {"compile", "--pass", "mask-plan", "--form", "c2", "--target", "sm_80"};
  const Words build = {"compile", "--pass", "mask-build", "--form", "f2", "--target", "sm_90"};
  EXPECT_EQ(std::get<CompileArguments>(parse_arguments(plan)).descriptor,
            KernelDescriptor::mask_plan(MaskForm::kC2, CausalAlignment::kBottomRight, {80, false}));
  EXPECT_EQ(std::get<CompileArguments>(parse_arguments(build)).descriptor,
            KernelDescriptor::mask_build(MaskForm::kF2, {90, false}));
  EXPECT_THAT(usage_error(plan + Words{"--dtype", "bf16"}), HasSubstr("--dtype: a mask-plan has none"));
  EXPECT_THAT(usage_error(build + Words{"--head-dim", "64"}), HasSubstr("--head-dim: a mask-build has none"));
  EXPECT_THAT(usage_error(build + Words{"--tile", "64,64"}), HasSubstr("--tile: a mask-build has none"));
  EXPECT_THAT(usage_error(build + Words{"--config", "64x64,w4,s2"}), HasSubstr("--config: a mask-build has none"));
}

TEST(Arguments, ExplainTakesWhatCompileTakes) {
  Words words = kCompile + Words{"c1", "--causal-alignment", "top-left", "--tile", "64,32", "--json"};
  const auto compile = std::get<CompileArguments>(parse_arguments(words));
  words[0] = "explain";
  const auto explain = std::get<ExplainArguments>(parse_arguments(words));
  EXPECT_EQ(explain.descriptor, compile.descriptor);
  EXPECT_EQ(std::get<TileShape>(explain.tile.value()).query, 64);
  EXPECT_EQ(std::get<TileShape>(explain.tile.value()).key, 32);
  EXPECT_TRUE(explain.json);
}

TEST(Arguments, EveryCommandThatTakesATileTakesAWholeConfiguration) {
  const TileConfig config{128, 128, 8, 2, false, 1, true, true, 2};
  for (const char* text : {"128x128,w8,s2,overlap,turns,q2", "128x128 w8 s2 overlap turns q2"}) {
    const Words more = {"--config", text};
    const auto expect_config = [&](const std::optional<TileWish>& wish) {
      EXPECT_EQ(std::get<TileConfig>(wish.value()), config) << text;
    };
    expect_config(run_arguments(more).tile);
    Words words = kCompile + Words{"c1"} + more;
    expect_config(std::get<CompileArguments>(parse_arguments(words)).tile);
    words[0] = "inspect";
    expect_config(std::get<InspectArguments>(parse_arguments(words)).tile);
    words[0] = "explain";
    expect_config(std::get<ExplainArguments>(parse_arguments(words)).tile);
  }
}

TEST(Arguments, AConfigurationThatIsNoneIsRefusedWithOneThatIs) {
  for (const char* text :
       {"", "128,128", "128x128", "128x128,w8", "w8,s2", "128x128,s2,w8", "128x128,w8,s2,fast", "any"})
    EXPECT_THAT(usage_error(kRun + Words{"--config", text}),
                ::testing::AllOf(HasSubstr("--config"), HasSubstr("128x64,w4,s2")))
        << text;
}

TEST(Arguments, ATileAndAConfigurationTogetherAreRefused) {
  const Words both = {"--tile", "128,64", "--config", "128x64,w4,s2"};
  for (const Words& words : {kRun + both, kCompile + Words{"c1"} + both})
    EXPECT_THAT(usage_error(words), HasSubstr("--tile 128,64 --config 128x64,w4,s2: the configuration names the tile"));
}

TEST(Arguments, AnAlignmentWithoutADiagonalIsRefused) {
  EXPECT_THAT(usage_error(kCompile + Words{"f2", "--causal-alignment", "top-left"}), HasSubstr("no diagonal"));
  EXPECT_EQ(usage_error(kCompile + Words{"window", "--causal-alignment", "top-left"}), "");
}

TEST(Arguments, AHeadDimThatIsNoNumberIsRefused) {
  for (const char* head_dim : {"", "x", "0", "-8", "64,", "64,0", "64,64,64"}) {
    EXPECT_THAT(
        usage_error({"compile", "--dtype", "bf16", "--form", "none", "--target", "sm_80", "--head-dim", head_dim}),
        HasSubstr("--head-dim"))
        << head_dim;
  }
}

TEST(Arguments, InspectShowsOneThingOrAllAsJson) {
  Words words = kCompile + Words{"none"};
  words[0] = "inspect";
  EXPECT_TRUE(std::get<InspectArguments>(parse_arguments(words)).resources);
  EXPECT_TRUE(std::get<InspectArguments>(parse_arguments(words + Words{"--ptx"})).ptx);
  const auto order = std::get<InspectArguments>(parse_arguments(words + Words{"--sass-order"}));
  EXPECT_TRUE(order.sass_order);
  EXPECT_FALSE(order.resources);
  EXPECT_THAT(usage_error(words + Words{"--ptx", "--source"}), HasSubstr("one of them at a time"));
  EXPECT_THAT(usage_error(words + Words{"--ptx", "--sass-order"}), HasSubstr("one of them at a time"));
  EXPECT_EQ(
      usage_error(words + Words{"--ptx", "--source", "--resources", "--sass-order", "--cfg", "--sections", "--json"}),
      "");
  EXPECT_THAT(usage_error({"inspect", "--target", "sm_80", "--cfg"}), HasSubstr("--form is required"));
  EXPECT_THAT(usage_error({"inspect", "--form", "c1", "--cfg"}), HasSubstr("--target is required"));
}

TEST(Arguments, InspectWritesAGraphAsTheNameOfItsFileSays) {
  const auto parsed = [](const Words& more) {
    return std::get<InspectArguments>(parse_arguments(Words{"inspect", "k.ptx", "--cfg"} + more));
  };
  EXPECT_EQ(parsed({}).file, "k.ptx");
  EXPECT_EQ(parsed({}).output, "");
  EXPECT_EQ(parsed({"-o", "k.svg"}).format, GraphFormat::kSvg);
  EXPECT_EQ(parsed({"-o", "k.gv"}).format, GraphFormat::kDot);
  EXPECT_EQ(parsed({"--entry", "other"}).entry, "other");
  EXPECT_THAT(usage_error({"inspect", "k.ptx", "--cfg", "-o", "k.png"}), HasSubstr(".svg, .dot or .gv"));
  EXPECT_THAT(usage_error({"inspect", "k.cubin", "--sections", "-o", "k.svg"}), HasSubstr("only --cfg writes a file"));
  EXPECT_THAT(usage_error({"inspect", "k.cubin", "--sections", "--entry", "k"}), HasSubstr("only --cfg"));
}

TEST(Arguments, InspectShowsAFileOrAKernelAndOfAFileOneThing) {
  EXPECT_TRUE(std::get<InspectArguments>(parse_arguments({"inspect", "k.cubin", "--sections"})).sections);
  EXPECT_THAT(usage_error({"inspect", "k.ptx"}), HasSubstr("--cfg shows the PTX, or --sections the cubin"));
  EXPECT_THAT(usage_error({"inspect", "k.ptx", "--resources"}), HasSubstr("--cfg shows the PTX"));
  EXPECT_THAT(usage_error({"inspect", "k.ptx", "--cfg", "--sections", "--json"}), HasSubstr("--cfg shows the PTX"));
  EXPECT_THAT(usage_error({"inspect", "k.ptx", "--cfg", "--target", "sm_80"}),
              HasSubstr("--target: it selects a kernel of this library, and the file k.ptx is shown"));
  EXPECT_THAT(usage_error({"inspect", "k.ptx", "--cfg", "--deterministic"}), HasSubstr("--deterministic: it selects"));
  EXPECT_THAT(usage_error({"inspect", "", "--cfg"}), HasSubstr("the name of a file is needed"));
}

TEST(Arguments, EveryHelpHasAnExample) {
  for (const Words& words :
       {Words{"--help"}, Words{"run", "--help"}, Words{"compile", "-h"}, Words{"inspect", "--help"},
        Words{"explain", "--help"}, Words{"mask", "--help"}, Words{"mask", "show", "--help"},
        Words{"mask", "build", "--help"}, Words{"mask", "list", "--help"}, Words{"doctor", "--help"}}) {
    EXPECT_THAT(std::get<ShownText>(parse_arguments(words)).text, HasSubstr("Example:\n  flashmask "));
  }
  EXPECT_THAT(std::get<ShownText>(parse_arguments({"--version"})).text, ::testing::StartsWith("flashmask 0."));
}

}  // namespace
}  // namespace flashmask::command
