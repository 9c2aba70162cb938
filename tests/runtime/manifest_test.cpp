#include "flashmask/manifest.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "flashmask/error.h"
#include "runtime/manifest/request_order.h"
#include "runtime/manifest/torn_blocks.h"
#include "runtime/manifest/write_manifest.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Requests = std::vector<KernelRequest>;

constexpr Target kSm80{80, false};
constexpr Target kSm90a{90, true};

std::string refusal(std::string_view text, const std::vector<Target>& targets = {}) {
  try {
    parse_manifest(text, "m.toml", targets);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

/// Of a manifest that must be one.
Requests parsed(std::string_view text, const std::vector<Target>& targets = {}) {
  const Manifest manifest = parse_manifest(text, "m.toml", targets);
  EXPECT_THAT(manifest.warnings, IsEmpty());
  return manifest.requests;
}

std::vector<std::string> names(const Requests& requests) {
  std::vector<std::string> result;
  for (const KernelRequest& request : requests)
    result.push_back(to_string(request.descriptor) + (request.config ? " " + to_word(*request.config) : ""));
  return result;
}

/// A table of one forward with other lines instead of, or behind, its own.
std::string table(const std::string& lines) {
  return "version = 1\n[[kernels]]\n" + lines;
}
const std::string kForward = "pass = \"forward\"\ndtype = \"bf16\"\nhead_dim = 64\n";

TEST(Manifest, ATableIsTheCrossProductOfItsLists) {
  const Requests requests = parsed(R"(
version = 1

[[kernels]]
pass = ["forward", "backward"]
dtype = ["fp16", "bf16"]
head_dim = [64, [192, 128]]
form = ["c1", "none"]
target = ["sm_90a", "sm_80"]
)");
  EXPECT_EQ(requests.size(), 2u * 2 * 2 * 2 * 2);
  const std::vector<std::string> all = names(requests);
  EXPECT_EQ(all.front(), "forward fp16 d64 none sm_80");
  EXPECT_EQ(all.back(), "backward bf16 d192/128 c1 bottom-right sm_90a");
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), all.size());
}

TEST(Manifest, ASingleValueStandsForAListOfOne) {
  EXPECT_EQ(parsed(table(kForward + "form = \"c1\"\ntarget = \"sm_80\"\n")),
            parsed(table("pass = [\"forward\"]\ndtype = [\"bf16\"]\nhead_dim = [64]\nform = [\"c1\"]\n"
                         "target = [\"sm_80\"]\n")));
}

TEST(Manifest, APairOfHeadDimsStandsWithinAList) {
  EXPECT_THAT(names(parsed(table("pass = \"forward\"\ndtype = \"bf16\"\nhead_dim = [[192, 128]]\nform = \"none\"\n"
                                 "target = \"sm_80\"\n"))),
              ElementsAre("forward bf16 d192/128 none sm_80"));
  EXPECT_THAT(names(parsed(table("pass = \"forward\"\ndtype = \"bf16\"\nhead_dim = [192, 128]\nform = \"none\"\n"
                                 "target = \"sm_80\"\n"))),
              ElementsAre("forward bf16 d128 none sm_80", "forward bf16 d192 none sm_80"));
}

TEST(Manifest, TheOrderOfTablesListsAndRepetitionsChangesNothing) {
  const Requests one = parsed(table(kForward + "form = [\"c1\", \"c2\"]\ntarget = [\"sm_80\", \"sm_90a\"]\n"));
  const std::string other = "[[kernels]]\n" + kForward + "form = [\"c2\", \"c2\", \"c1\"]\ntarget = \"sm_90a\"\n";
  EXPECT_EQ(parsed(table(kForward + "form = [\"c2\", \"c1\"]\ntarget = [\"sm_80\", \"sm_80\"]\n") + other + other),
            one);
  EXPECT_EQ(one.size(), 4u);
}

TEST(Manifest, AllFormsAreThoseThatAPassHas) {
  EXPECT_EQ(parsed(table(kForward + "form = \"all\"\ntarget = \"sm_80\"\n")).size(), 7u);
  EXPECT_THAT(names(parsed(table("pass = [\"mask-plan\", \"mask-build\"]\nform = \"all\"\ntarget = \"sm_80\"\n"))),
              ElementsAre("mask-plan c1 bottom-right sm_80", "mask-plan c2 bottom-right sm_80", "mask-plan f2 sm_80",
                          "mask-plan f4 sm_80", "mask-build c1 bottom-right sm_80", "mask-build f2 sm_80"));
}

TEST(Manifest, WhatHasNoMeaningForAKernelDoesNotMultiplyIt) {
  const Requests requests = parsed(R"(
version = 1
[[kernels]]
pass = ["forward", "backward", "mask-plan"]
dtype = ["fp16", "bf16"]
head_dim = [64, 128]
form = ["c1", "f2"]
alignment = ["bottom-right", "top-left"]
deterministic = [true, false]
config = ["default", "64x64,w4,s2"]
target = "sm_80"
)");
  std::size_t forwards = 0, backwards = 0, plans = 0;
  for (const KernelRequest& request : requests) {
    EXPECT_THAT(broken_rules(request.descriptor), IsEmpty());
    forwards += request.descriptor.pass == Pass::kForward;
    backwards += request.descriptor.pass == Pass::kBackward;
    plans += request.descriptor.pass == Pass::kMaskPlan;
  }
  EXPECT_EQ(forwards, 2u * 2 * 2 * (2 + 1));
  EXPECT_EQ(backwards, 2 * forwards);
  EXPECT_EQ(plans, 2u + 1);
}

TEST(Manifest, AConfigurationIsAWordAsTheCommandTakesIt) {
  const Requests requests = parsed(table(kForward + "form = \"none\"\nconfig = [\"128x64,w4,s2\", \"default\"]\n"
                                                    "target = \"sm_80\"\n"));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].config, std::nullopt);
  EXPECT_EQ(requests[1].config, parse_tile_config("128x64,w4,s2"));
  EXPECT_THAT(refusal(table(kForward + "form = \"none\"\nconfig = \"64\"\ntarget = \"sm_80\"\n")),
              AllOf(HasSubstr("m.toml:7:10: config = \"64\""), HasSubstr("128x64,w4,s2")));
}

TEST(Manifest, OtherTargetsTakeThePlaceOfItsOwn) {
  const std::string text = table(kForward + "form = \"none\"\ntarget = [\"sm_80\", \"sm_86\"]\n");
  EXPECT_THAT(names(parsed(text, {kSm90a})), ElementsAre("forward bf16 d64 none sm_90a"));
  EXPECT_EQ(parsed(table(kForward + "form = \"none\"\n"), {kSm90a, kSm80}).size(), 2u);
  EXPECT_THAT(refusal(table(kForward + "form = \"none\"\n")), HasSubstr("m.toml:2:1: this table has no target"));
  EXPECT_THAT(refusal(table(kForward + "form = \"none\"\ntarget = \"sm_12\"\n"), {kSm80}), HasSubstr("sm_12"));
}

TEST(Manifest, EveryMistakeIsToldWithItsPlaceItsValueAndWhatIsAllowed) {
  const std::string told = refusal(R"(version = 1
[[kernels]]
pass = "sideways"
dtype = ["bf16", "fp8"]
head_dim = [64, 100, [192, 7]]
form = 3
target = "sm_75"
alignment = "middle"
deterministic = "yes"
)");
  EXPECT_THAT(told, StartsWith("m.toml:3:8: pass = \"sideways\": allowed: forward, backward, mask-plan or mask-build"));
  for (const char* error :
       {"m.toml:4:18: dtype = \"fp8\": allowed: fp16 or bf16", "m.toml:5:17: head_dim = 100: allowed: a multiple of 8",
        "m.toml:5:22: head_dim = [192, 7]: allowed: ", "m.toml:6:8: form = 3: allowed: none, causal, window, c1",
        "m.toml:7:10: target = \"sm_75\": allowed: sm_80, ",
        "m.toml:8:13: alignment = \"middle\": allowed: bottom-right or top-left",
        "m.toml:9:17: deterministic = \"yes\": allowed: true or false"})
    EXPECT_THAT(told, HasSubstr(error));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 7) << told;
}

TEST(Manifest, AnUnknownKeyIsRefusedWithTheNearestKnownOne) {
  EXPECT_THAT(refusal("version = 1\n[[kernel]]\n"), HasSubstr("\"kernel\": this key is unknown, kernels is probably"));
  const std::string told = refusal(table(kForward + "form = \"none\"\ntarget = \"sm_80\"\nhead_dims = 3\nx = 1\n"));
  EXPECT_THAT(told, HasSubstr("m.toml:8:1: \"head_dims\": this key is unknown, head_dim is probably meant; known are "
                              "pass, dtype, head_dim, form, alignment, deterministic, target, config"));
  EXPECT_THAT(told, HasSubstr("m.toml:9:1: \"x\": this key is unknown; known are"));
  EXPECT_THAT(refusal(table(kForward + "form = \"none\"\ntarget = \"sm_80\"\ndetermnistic = true\n")),
              HasSubstr("deterministic is probably meant"));
}

TEST(Manifest, WhatIsMissingIsToldAtItsTable) {
  const std::string told = refusal("version = 1\n\n[[kernels]]\npass = \"backward\"\n");
  for (const char* key : {"dtype", "head_dim", "form", "target"})
    EXPECT_THAT(told, HasSubstr(std::string("m.toml:3:1: this table has no ") + key));
  EXPECT_THAT(refusal("version = 1\n[[kernels]]\n"), HasSubstr("m.toml:2:1: this table has no pass"));
}

TEST(Manifest, WhatNoKernelOfATableWouldHeedIsRefused) {
  EXPECT_THAT(refusal(table("pass = \"mask-plan\"\nform = \"c1\"\ndtype = \"bf16\"\ntarget = \"sm_80\"\n")),
              HasSubstr("m.toml:5:1: dtype: a mask-plan has none; leave it out"));
  EXPECT_THAT(refusal(table(kForward + "form = \"c1\"\ndeterministic = true\ntarget = \"sm_80\"\n")),
              HasSubstr("m.toml:7:1: deterministic = true: only the backward has a choice"));
  EXPECT_THAT(refusal(table(kForward + "form = [\"none\", \"f2\"]\nalignment = \"top-left\"\ntarget = \"sm_80\"\n")),
              HasSubstr("m.toml:7:1: alignment = \"top-left\": none of these kernels has a diagonal"));
}

TEST(Manifest, TheVersionComesFirstAndIsOne) {
  EXPECT_THAT(refusal(""), HasSubstr("m.toml:1:1: a manifest begins with its version: version = 1"));
  EXPECT_THAT(refusal("version = 2\n"), HasSubstr("m.toml:1:11: version = 2: this library reads version 1"));
  EXPECT_THAT(refusal("version = \"1\"\n"), HasSubstr("version = \"1\""));
  EXPECT_THAT(parsed("version = 1\n"), IsEmpty());
}

TEST(Manifest, WhatIsNoTomlIsToldWithItsPlace) {
  EXPECT_THAT(refusal("version = 1\n[[kernels]]\npass = forward\n"),
              StartsWith("m.toml:3:9: this is no TOML (its strings stand in quotes): "));
  EXPECT_THAT(refusal("version = 1\nversion = 1\n"), StartsWith("m.toml:2:"));
  EXPECT_THAT(refusal(std::string("version = 1\n\0", 13)), StartsWith("m.toml:2:"));
  EXPECT_THAT(refusal("kernels = 1\nversion = 1\n"), HasSubstr("tables are needed, each headed [[kernels]]"));
  EXPECT_THAT(refusal("version = 1\nkernels = [1]\n"), HasSubstr("m.toml:2:12: kernels = [1]: tables are needed"));
  EXPECT_THAT(refusal("version = 1\nkernels = " + std::string(100'000, '[')), StartsWith("m.toml:2:"));
}

TEST(Manifest, LettersOfOtherAlphabetsOutsideOfStringsAreNoToml) {
  // Of each stretch of characters that toml++ tells apart; a sanitizer sees what it takes for unreachable.
  for (const char* letter : {"é", "κ", "ж", "א", "\u1680", "\u2030", "\u3042", "語", "\ufe00", "𝒳"}) {
    for (const std::string& line : {std::string("a = ") + letter, std::string("a =") + letter + "1",
                                    std::string(letter) + " = 1", std::string("a = 1") + letter}) {
      EXPECT_THAT(refusal("version = 1\n" + line + "\n"), StartsWith("m.toml:2:")) << line;
    }
  }
}

TEST(Manifest, AHostileOneIsRefusedShortlyAndSoon) {
  const std::string long_name(1'000'000, 'x');
  const std::string told = refusal("version = 1\n\"" + long_name + "\" = \"" + long_name + "\"\n");
  EXPECT_LT(told.size(), 1000u);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "key_" + std::to_string(i) + " = 1\n";
  EXPECT_LT(refusal("version = 1\n" + many).size(), 10'000u);
  EXPECT_THAT(refusal("version = 1\n" + many), HasSubstr("and 980 more"));
  EXPECT_THAT(refusal(table("pass = \"a\\n\\u001b[31m\"\n")), Not(HasSubstr("\x1b")));
  EXPECT_THAT(refusal(table(kForward + "form = []\ntarget = \"sm_80\"\n")), HasSubstr("form = []: a list has 1 to"));

  std::string dims = "head_dim = [";
  for (int qk = 8; qk <= 256; qk += 8)
    for (int v = 8; v <= 256; v += 8) dims += "[" + std::to_string(qk) + ", " + std::to_string(v) + "], ";
  EXPECT_THAT(refusal(table("pass = [\"forward\", \"backward\"]\ndtype = [\"fp16\", \"bf16\"]\n" + dims +
                            "]\nform = \"all\"\nalignment = [\"bottom-right\", \"top-left\"]\n"
                            "target = [\"sm_80\", \"sm_90\", \"sm_90a\"]\n")),
              HasSubstr("a manifest has at most 100000"));
}

/// Descriptors of every kind, some with configurations.
Requests random_requests(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  const std::vector<Target> targets = {kSm80, {90, false}, kSm90a};
  const std::vector<std::string> configs = {"128x64,w4,s2", "64x64,w4,s2", "128x96,w8,s2,overlap,turns,q2"};
  Requests requests;
  for (int i = below(60); i >= 0; --i) {
    KernelRequest request;
    KernelDescriptor& descriptor = request.descriptor;
    descriptor.pass = static_cast<Pass>(below(4));
    descriptor.mask_form = static_cast<MaskForm>(below(7));
    descriptor.target = targets[static_cast<std::size_t>(below(3))];
    if (below(2) == 0) descriptor.causal_alignment = CausalAlignment::kTopLeft;
    descriptor.dtype = DataType::kBfloat16;
    descriptor.head_dim_qk = descriptor.head_dim_v = 0;
    if (is_attention(descriptor.pass)) {
      descriptor.dtype = static_cast<DataType>(below(2));
      descriptor.head_dim_qk = 8 * (1 + below(4));
      descriptor.head_dim_v = below(2) == 0 ? descriptor.head_dim_qk : 8 * (1 + below(4));
      if (below(4) == 0) request.config = parse_tile_config(configs[static_cast<std::size_t>(below(3))]);
    }
    descriptor.deterministic = descriptor.pass == Pass::kBackward && below(2) == 0;
    if (broken_rules(descriptor).empty()) requests.push_back(request);
  }
  return requests;
}

TEST(Manifest, WhatIsWrittenIsReadAgain) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    Requests requests = random_requests(seed);
    const std::string text = to_text(requests);
    std::shuffle(requests.begin(), requests.end(), std::mt19937(seed));
    EXPECT_EQ(to_text(requests), text);
    sort_and_collapse(requests);
    ASSERT_EQ(parsed(text), requests) << text;
    std::string one_by_one = manifest_head();
    for (const KernelRequest& request : requests) one_by_one += "\n" + to_table(request);
    ASSERT_EQ(parsed(one_by_one), requests) << one_by_one;
  }
}

TEST(Manifest, AWholeMatrixIsWrittenAsItsTables) {
  const std::string text = R"(# A manifest of flashmask; tables may be appended.
version = 1

[[kernels]]
pass = ["forward", "backward"]
dtype = ["fp16", "bf16"]
head_dim = [64, 96, 128, [192, 128], 256]
form = "all"
target = ["sm_80", "sm_90a", "sm_120"]
)";
  EXPECT_EQ(to_text(parsed(text)), text);
  EXPECT_EQ(parsed(text).size(), 420u);
}

TEST(Manifest, ATableThatWasCutAnywhereCostsThatTableAlone) {
  KernelRequest first, second, third;
  second.descriptor.pass = Pass::kBackward;
  second.descriptor.mask_form = MaskForm::kC2;
  second.descriptor.causal_alignment = CausalAlignment::kTopLeft;
  second.descriptor.deterministic = true;
  second.descriptor.head_dim_v = 64;
  second.descriptor.target = kSm90a;
  second.config = parse_tile_config("64x128,w8,s2,c2");
  third.descriptor.mask_form = MaskForm::kF4;
  const std::string table = "\n" + to_table(second);
  for (const bool is_last : {false, true}) {
    Requests others = {first};
    if (!is_last) others.push_back(third);
    for (std::size_t kept = 0; kept <= table.size(); ++kept) {
      const std::string text =
          manifest_head() + "\n" + to_table(first) + table.substr(0, kept) + (is_last ? "" : "\n" + to_table(third));
      const Manifest manifest = parse_manifest(text, "m.toml");
      const bool has_second = std::count(manifest.requests.begin(), manifest.requests.end(), second) == 1;
      Requests expected = others;
      if (has_second) expected.push_back(second);
      sort_and_collapse(expected);
      ASSERT_EQ(manifest.requests, expected) << text;
      EXPECT_EQ(has_second, kept + 1 >= table.size()) << text;
      EXPECT_EQ(manifest.warnings.empty(), kept <= 1 || has_second) << text;
    }
  }
}

TEST(Manifest, AMistakeInAManifestThatWasAppendedToIsStillAnError) {
  const std::string good = to_table({});
  std::string wrong = good;
  wrong.replace(wrong.find("bf16"), 4, "fp99");
  EXPECT_THAT(refusal(manifest_head() + "\n" + good + "\n" + wrong), HasSubstr("dtype = \"fp99\""));
  EXPECT_THAT(refusal(manifest_head() + "\n[[kern\n" + good + "\n" + wrong), HasSubstr("dtype = \"fp99\""));
}

TEST(Manifest, OnlyWhatThisLibraryBeganMayHaveACutTable) {
  EXPECT_THAT(refusal("version = 1\n\n[[kern\n\n" + to_table({})), StartsWith("m.toml:3:"));
  const Manifest manifest = parse_manifest(manifest_head() + "\n[[kern\n\n" + to_table({}), "m.toml");
  EXPECT_EQ(manifest.requests, Requests{{}});
  EXPECT_THAT(manifest.warnings, ElementsAre(AllOf(StartsWith("m.toml:4:"), HasSubstr("lines 4 to 4"))));
}

TEST(Manifest, AFileIsReadOrItIsToldWhyNot) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.file("m.toml");
  const auto refuse = [](const std::string& file) {
    try {
      read_manifest(file);
    } catch (const Error& error) {
      return std::pair(error.code(), std::string(error.what()));
    }
    return std::pair(ErrorCode::kInternal, std::string("accepted"));
  };
  EXPECT_EQ(refuse(path).first, ErrorCode::kNotFound);
  EXPECT_THAT(refuse(path).second, HasSubstr(path + ": cannot be opened"));
  EXPECT_EQ(refuse(directory.file("")).first, ErrorCode::kStorage);
  std::ofstream(path) << to_text({{}});
  EXPECT_EQ(read_manifest(path).requests, Requests{{}});
  std::ofstream(path) << std::string(kMostManifestBytes + 1, '\n');
  EXPECT_THAT(refuse(path).second, HasSubstr("at most 16777216 bytes"));
}

}  // namespace
}  // namespace flashmask
