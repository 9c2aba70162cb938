#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <random>

#include "database_samples.h"
#include "flashmask/error.h"

namespace flashmask {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MemoryDirectory;
using testing::sample_key;
using testing::sample_record;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<TuningRecord> sample_records() {
  std::vector<TuningRecord> records;
  for (int i = 0; i < 12; ++i) records.push_back(sample_record(37 * i));
  records[1].key.basis = TuningBasis::kMeasured;
  records[2].key.gpu.l2_bytes = std::numeric_limits<std::uint64_t>::max();
  records[3].key.descriptor = {.pass = Pass::kForward, .mask_form = MaskForm::kC1, .target = {90, true}};
  records[3].config = {128, 128, 8, 2, false, 1, true, true, 2};
  records[4].key.bucket = {0, 1 << 30, 1, DensityClass::kUnknown};
  records[5].key.method = "quotes \" and \\ and \n and ü";
  records[6].seconds = std::numeric_limits<double>::denorm_min();
  records[7].seconds = 1.0 / 3;
  records[8].seconds = 1e300;
  records[9].seconds = 0;
  records[10].provenance.sm_clock_mhz = 0;
  return records;
}

std::vector<TuningRecord> parse(const std::string& text) {
  std::vector<std::string> passed_over;
  auto records = parse_tuning_json(text, "file.json", passed_over);
  EXPECT_THAT(passed_over, IsEmpty());
  return records;
}

/// "" for a text that is taken.
std::string refusal_of(const std::string& text) {
  try {
    std::vector<std::string> passed_over;
    parse_tuning_json(text, "file.json", passed_over);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    EXPECT_THAT(error.what(), StartsWith("file.json"));
    EXPECT_FALSE(error.hint().empty());
    EXPECT_LT(std::string(error.what()).size(), 300U);
    return error.what();
  }
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const std::size_t at = text.find(part);
  EXPECT_NE(at, std::string::npos) << part;
  return text.replace(at, part.size(), by);
}

TEST(TuningJson, EveryFieldComesBackAndAnyOrderGivesTheSameText) {
  std::vector<TuningRecord> records = sample_records();
  const std::string text = tuning_json(records);
  EXPECT_THAT(parse(text), ::testing::UnorderedElementsAreArray(records));
  EXPECT_EQ(tuning_json(parse(text)), text);
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(records.begin(), records.end(), random);
    EXPECT_EQ(tuning_json(records), text);
  }
}

TEST(TuningJson, TwoAnswersOfOneKeyHaveAnOrderToo) {
  TuningRecord other = sample_record();
  other.seconds = 0.05;
  EXPECT_EQ(tuning_json({sample_record(), other}), tuning_json({other, sample_record()}));
  EXPECT_THAT(parse(tuning_json({other, sample_record()})), SizeIs(2));
}

TEST(TuningJson, OfNothingIsAFile) {
  EXPECT_THAT(parse(tuning_json({})), IsEmpty());
}

TEST(TuningJson, IsReadable) {
  EXPECT_EQ(tuning_json({sample_record()}),
            R"({"format":"flashmask tuning answers","schema":1,
 "records": [
  {"basis":"modelled","gpu":{"name":"NVIDIA H200, \"big\"","compute_capability":90,"multiprocessors":132,"l2_bytes":52428800,"shared_bytes_per_block":232448},
   "descriptor":{"pass":"backward","dtype":"fp16","head_dim_qk":192,"head_dim_v":128,"mask_form":"c2","causal_alignment":"top-left","target":"sm_80","deterministic":true},
   "bucket":{"seqlen_q":8192,"seqlen_k":4096,"heads":16,"density":"medium"},
   "method":"events, cold L2, N(0,1), 1","templates":"0123456789abcdef",
   "config":"64x64 w8 s2 c2","default_config":"64x128 w8 s3","seconds":0.1,"default_seconds":0.3333333333333333,"band":0.02,"rounds":31,
   "reason":"in 30 of 31 rounds faster than the default\nby more than the band",
   "provenance":{"driver":"13.0","sm_clock_mhz":1980,"toolchain":"nvrtc 13.0.88","library":"0.1.0","problem":"batch 2, heads 8","effort":"full","date":"2026-11-27T12:00:00Z"}}]}
)");
}

TEST(TuningJson, TextThatIsNoUtf8IsWrittenReadably) {
  TuningRecord record = sample_record();
  record.reason = "\xff broken";
  EXPECT_THAT(parse(tuning_json({record})), SizeIs(1));
}

TEST(TuningJson, EveryPrefixIsRefused) {
  const std::string text = tuning_json({sample_record(0), sample_record(1)});
  for (std::size_t size = 0; size + 2 < text.size(); ++size) EXPECT_NE(refusal_of(text.substr(0, size)), "") << size;
  EXPECT_EQ(refusal_of(text.substr(0, text.size() - 1)), "");
}

TEST(TuningJson, AnyByteMayBeAnother) {
  const std::string sound = tuning_json({sample_record(0)});
  std::mt19937 random(1);
  for (std::size_t i = 0; i < sound.size(); ++i)
    for (const char other : {'\0', '"', '9', '-', '{', ']', '\xff', static_cast<char>(random())}) {
      std::string text = sound;
      text[i] = other;
      refusal_of(text);
    }
}

TEST(TuningJson, MistakesAreToldWithLineAndColumn) {
  EXPECT_THAT(refusal_of("{\"format\": \"flashmask tuning answers\",\n \"schema\": x}"),
              HasSubstr("file.json:2:12: this is no JSON"));
  EXPECT_THAT(refusal_of(""), HasSubstr("file.json:1:1: this is no JSON"));
  EXPECT_THAT(refusal_of("{\n\n1e999"), HasSubstr("file.json:3:"));
  EXPECT_THAT(refusal_of("[1e999]"), HasSubstr("number overflow"));
  EXPECT_THAT(refusal_of("\"" + std::string(1 << 20, 'a')), HasSubstr("this is no JSON"));
  EXPECT_THAT(refusal_of(std::string(1 << 20, '7')), HasSubstr("this is no JSON"));
  EXPECT_THAT(refusal_of("[]"), HasSubstr("\"flashmask tuning answers\" is needed"));
  EXPECT_THAT(refusal_of("{\"format\": 1}"), HasSubstr("is needed"));
  EXPECT_THAT(refusal_of(replaced(tuning_json({}), "\"schema\":1", "\"schema\":2")), HasSubstr("\"schema\" is not 1"));
  EXPECT_THAT(refusal_of(replaced(tuning_json({}), "\"schema\":1", "\"schema\":true")), HasSubstr("\"schema\""));
  EXPECT_THAT(refusal_of(replaced(tuning_json({}), "[]", "{}")), HasSubstr("\"records\" is no list"));
}

TEST(TuningJson, SizeDepthAndNumberOfValuesAreBounded) {
  EXPECT_THAT(refusal_of(std::string((64 << 20) + 1, ' ')), HasSubstr("at most 67108864 bytes"));
  EXPECT_THAT(refusal_of(std::string(1 << 20, '[')), HasSubstr("nested deeper than 8 levels"));
  std::string many = "[";
  for (int i = 0; i < 4'100'000; ++i) many += "0,";
  EXPECT_THAT(refusal_of(many + "0]"), HasSubstr("more than 4000000 values"));
}

TEST(TuningJson, ARecordThatIsMalformedIsPassedOverWithItsReasonAndTheOthersStay) {
  const std::string sound = tuning_json({sample_record(0)});
  const struct {
    const char *part, *by, *reason;
  } cases[] = {
      {"\"modelled\"", "\"guessed\"", "basis is unknown: \"guessed\""},
      {"\"modelled\"", "7", "basis is no text"},
      {"\"gpu\":{", "\"gpx\":{", "gpu is missing"},
      {"\"compute_capability\":90", "\"compute_capability\":true", "compute_capability is no integer"},
      {"\"multiprocessors\":132", "\"multiprocessors\":-132", "multiprocessors is no integer"},
      {"\"multiprocessors\":132", "\"multiprocessors\":1.5", "multiprocessors is no integer"},
      {"\"multiprocessors\":132", "\"multiprocessors\":4294967296", "multiprocessors is greater"},
      {"52428800", "18446744073709551616", "l2_bytes is no integer"},
      {"\"backward\"", "\"sideways\"", "pass is unknown"},
      {"\"fp16\"", "\"fp8\"", "dtype is unknown"},
      {"\"sm_80\"", "\"sm_999\"", "target is unknown"},
      {"\"deterministic\":true", "\"deterministic\":1", "deterministic is neither true nor false"},
      {"\"seqlen_q\":8192", "\"seqlen_q\":8191", "seqlen_q is no power of two"},
      {"\"medium\"", "\"thick\"", "density is unknown"},
      {"\"method\":", "\"methods\":", "method is missing"},
      {"\"config\":\"64x64 w8 s2 c2\"", "\"config\":\"any tile\"", "config is unknown"},
      {"\"config\":\"64x64 w8 s2 c2\"", "\"config\":\"64x60 w8 s2 c2\"", "tile_k = 60"},
      {"\"config\":\"64x64 w8 s2 c2\"", "\"config\":\"2147483647x-2147483648 w8 s2 c2\"", "tile_q = 2147483647"},
      {"\"head_dim_qk\":192", "\"head_dim_qk\":193", "head_dim_qk = 193"},
      {"\"seconds\":0.1", "\"seconds\":-0.1", "seconds is no finite number"},
      {"\"seconds\":0.1", "\"seconds\":\"0.1\"", "seconds is no number"},
      {"\"seconds\":0.1", "\"seconds\":null", "seconds is no number"},
      {"\"rounds\":31", "\"rounds\":[]", "rounds is no integer"},
      {"\"reason\":", "\"raison\":", "reason is missing"},
      {"\"sm_clock_mhz\":1980", "\"sm_clock_mhz\":99999999999", "sm_clock_mhz is no integer of 32 bits"},
      {"2026-11-27T12:00:00Z", "yesterday", "date is no UTC time"},
  };
  for (const auto& [part, by, reason] : cases) {
    std::string text = replaced(sound, part, by);
    text.insert(text.rfind("]}"),
                ",\n7," + sound.substr(sound.find("{\"basis"), sound.rfind("]}") - sound.find("{\"basis")));
    std::vector<std::string> passed_over;
    EXPECT_THAT(parse_tuning_json(text, "file.json", passed_over), ElementsAre(sample_record(0))) << by;
    ASSERT_THAT(passed_over, SizeIs(2)) << by;
    EXPECT_THAT(passed_over[0], StartsWith("file.json: record 1: "));
    EXPECT_THAT(passed_over[0], HasSubstr(reason));
    EXPECT_THAT(passed_over[1], StartsWith("file.json: record 2: it is no object"));
  }
}

TEST(TuningJson, AnImportTakesWhatIsLegalAndKeepsTheLaterDate) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  TuningRecord late = sample_record(1);
  late.provenance.date = "2027-01-01T00:00:00Z";
  database.save(late);
  TuningRecord newer = sample_record(1);
  newer.provenance.date = "2027-01-01T00:00:01Z";
  std::string text = tuning_json({sample_record(0), sample_record(1), sample_record(2)});
  text = replaced(text, "\"config\":\"64x64 w8 s2 c2\"", "\"config\":\"64x64 w9 s2\"");
  const TuningImport first = import_tuning_json(database, text, "file.json");
  EXPECT_EQ(first.records, 1);
  ASSERT_THAT(first.passed_over, SizeIs(2));
  EXPECT_THAT(first.passed_over[0], HasSubstr("warps = 9"));
  EXPECT_THAT(first.passed_over[1], HasSubstr("2027-01-01T00:00:00Z"));
  EXPECT_EQ(database.record(sample_key(1)), late);
  EXPECT_EQ(import_tuning_json(database, tuning_json({newer}), "file.json").records, 1);
  EXPECT_EQ(database.record(sample_key(1)), newer);
  const TuningImport again = import_tuning_json(database, tuning_json(database.records()), "file.json");
  EXPECT_EQ(again.records, 2);
  EXPECT_THAT(again.passed_over, IsEmpty());
}

TEST(TuningJson, OfAWholeDatabaseMakesTheSameDatabaseElsewhere) {
  const MemoryDirectory scratch;
  TuningDatabase here = TuningDatabase::open(scratch.file("here.db"));
  TuningDatabase there = TuningDatabase::open(scratch.file("there.db"));
  for (const TuningRecord& record : sample_records()) here.save(record);
  const TuningImport result = import_tuning_json(there, tuning_json(here.records()), "file.json");
  EXPECT_THAT(result.passed_over, IsEmpty());
  EXPECT_EQ(there.records(), here.records());
}

}  // namespace
}  // namespace flashmask
