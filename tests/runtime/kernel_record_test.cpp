#include "runtime/store/kernel_record.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "runtime/store/kernel_digest.h"

namespace flashmask {
namespace {

using ::testing::HasSubstr;

KernelRecord sample() {
  KernelRecord record;
  record.descriptor = {.dtype = DataType::kFloat16,
                       .head_dim_qk = 192,
                       .head_dim_v = 128,
                       .mask_form = MaskForm::kC2,
                       .causal_alignment = CausalAlignment::kTopLeft,
                       .target = {90, true}};
  record.config = {128, 64, 8, 3, true, 2, true, true, 2};
  record.entry = "an_entry";
  record.resources = {168, 1, 2, 3, 4, 5};
  record.toolchain = "nvrtc 13.0.88";
  record.log = "line\nline with \"quotes\"\n";
  return record;
}

TEST(KernelRecord, SurvivesTheRoundTrip) {
  std::string why;
  const auto read = parse_record(to_json(sample()), why);
  ASSERT_TRUE(read) << why;
  EXPECT_TRUE(*read == sample());
  EXPECT_EQ(to_json(*read), to_json(sample()));
}

TEST(KernelRecord, ALogThatIsNotUtf8IsKeptReadable) {
  KernelRecord record = sample();
  record.log = "\xff\xfe broken";
  std::string why;
  ASSERT_TRUE(parse_record(to_json(record), why)) << why;
}

TEST(KernelRecord, AnyMissingFieldIsRefusedByName) {
  const auto whole = nlohmann::ordered_json::parse(to_json(sample()));
  for (const auto& [key, value] : whole.items()) {
    auto without = whole;
    without.erase(key);
    std::string why;
    EXPECT_FALSE(parse_record(without.dump(), why)) << key;
    EXPECT_THAT(why, HasSubstr(key));
    if (!value.is_object()) continue;
    for (const auto& [inner, ignored] : value.items()) {
      auto without_inner = whole;
      without_inner[key].erase(inner);
      EXPECT_FALSE(parse_record(without_inner.dump(), why)) << key << "." << inner;
    }
  }
}

TEST(KernelRecord, WrongTypesAndValuesAreRefused) {
  const auto whole = nlohmann::ordered_json::parse(to_json(sample()));
  const auto refused = [&](const char* path, const nlohmann::ordered_json& value) {
    auto broken = whole;
    broken[nlohmann::ordered_json::json_pointer(path)] = value;
    std::string why;
    return !parse_record(broken.dump(), why).has_value();
  };
  EXPECT_TRUE(refused("/schema", 3));
  EXPECT_TRUE(refused("/descriptor/dtype", "fp8"));
  EXPECT_TRUE(refused("/descriptor/target", 90));
  EXPECT_TRUE(refused("/descriptor/head_dim_qk", true));
  EXPECT_TRUE(refused("/config/tile_q", 1.5));
  EXPECT_TRUE(refused("/config/tile_q", -1));
  EXPECT_TRUE(refused("/config/tile_q", 1e30));
  EXPECT_TRUE(refused("/config/overlap", 1));
  EXPECT_TRUE(refused("/config/turns", "false"));
  EXPECT_TRUE(refused("/config/query_slots", false));
  EXPECT_TRUE(refused("/resources/registers", std::uint64_t{1} << 63));
  EXPECT_TRUE(refused("/resources", nlohmann::ordered_json::array()));
  EXPECT_TRUE(refused("/log", nullptr));
}

TEST(KernelRecord, EveryFieldOfAConfigurationComesBack) {
  const TileConfig base{128, 64, 8, 3};
  std::vector<TileConfig> others(9, base);
  others[0].tile_q = 64;
  others[1].tile_k = 32;
  others[2].warps = 4;
  others[3].stages = 2;
  others[4].query_in_registers = true;
  others[5].column_warps = 2;
  others[6].overlap = true;
  others[7].turns = true;
  others[8].query_slots = 2;
  for (const TileConfig& config : others) {
    KernelRecord record = sample();
    record.config = config;
    std::string why;
    const auto read = parse_record(to_json(record), why);
    ASSERT_TRUE(read) << why;
    EXPECT_EQ(read->config, config) << to_string(config);
    record.config = base;
    EXPECT_FALSE(*read == record) << to_string(config);
  }
}

TEST(KernelRecord, OfTheSchemaBeforeIsRefusedByItsNumber) {
  auto old = nlohmann::ordered_json::parse(to_json(sample()));
  EXPECT_EQ(old["schema"], 2);
  old["schema"] = 1;
  for (const char* field : {"overlap", "turns", "query_slots"}) old["config"].erase(field);
  std::string why;
  EXPECT_FALSE(parse_record(old.dump(), why));
  EXPECT_THAT(why, HasSubstr("schema"));
}

TEST(KernelRecord, EveryTruncationIsRefused) {
  const std::string whole = to_json(sample());
  std::string why;
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_record(whole.substr(0, size), why)) << size;
}

generator::KernelSource sample_source() {
  generator::KernelSource source;
  source.entry = "entry";
  source.generated = "generated text";
  source.template_digests = {"aa", "bb"};
  source.descriptor.target = {80, false};
  return source;
}

TEST(KernelDigest, ChangesWithEverythingThatCanChangeTheCode) {
  const cache::Digest original = digest_of(sample_source());
  EXPECT_EQ(digest_of(sample_source()), original);
  std::vector<generator::KernelSource> others(7, sample_source());
  others[0].entry = "entry2";
  others[1].generated += " ";
  others[2].template_digests = {"bb", "aa"};
  others[3].template_digests = {"aa"};
  others[4].template_digests = {"aabb"};
  others[5].descriptor.target = {80, true};
  others[6].descriptor.target = {86, false};
  for (std::size_t i = 0; i < others.size(); ++i) EXPECT_NE(digest_of(others[i]), original) << i;
}

TEST(KernelDigest, TakesTheLastTemplateNotForTheGeneratedText) {
  generator::KernelSource one = sample_source();
  generator::KernelSource two = sample_source();
  one.template_digests = {"aa"};
  one.generated = "bb";
  two.template_digests = {"aa", "bb"};
  two.generated = "";
  EXPECT_NE(digest_of(one), digest_of(two));
}

TEST(KernelDigest, OfTheSameDescriptorIsTheSameAndOfAnotherAnother) {
  const auto digest = [](const KernelDescriptor& descriptor) {
    return digest_of(generator::generate(descriptor, default_tile_config(descriptor)));
  };
  const KernelDescriptor descriptor;
  KernelDescriptor other = descriptor;
  other.dtype = DataType::kFloat16;
  EXPECT_EQ(digest(descriptor), digest(descriptor));
  EXPECT_NE(digest(descriptor), digest(other));
  TileConfig config = default_tile_config(descriptor);
  const cache::Digest usual = digest_of(generator::generate(descriptor, config));
  config.query_in_registers = !config.query_in_registers;
  ASSERT_TRUE(broken_rules(descriptor, config).empty());
  EXPECT_NE(digest_of(generator::generate(descriptor, config)), usual);
}

}  // namespace
}  // namespace flashmask
