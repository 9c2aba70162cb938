#include "runtime/tune/shipped.h"

#include <string>
#include <vector>

#include "flashmask/tuning_database.h"
#include "runtime/tune/device_bench.h"
#include "runtime/tune/tuning_identity.h"

namespace flashmask::tune {
namespace {

TEST(ShippedAnswers, AreReadWithoutLeavingAnyOut) {
  std::size_t records = 0;
  for (const ShippedFile& file : shipped_files()) {
    std::vector<std::string> passed_over;
    records += parse_tuning_json(std::string(file.text), std::string(file.name), passed_over).size();
    EXPECT_TRUE(passed_over.empty()) << file.name << ": " << passed_over.front();
  }
  EXPECT_EQ(shipped_records().size(), records);
  EXPECT_GT(records, 0u);
}

TEST(ShippedAnswers, WereMeasuredOnGpusAndOfTheseTemplates) {
  for (const TuningRecord& record : shipped_records()) {
    const std::string name = to_string(record.key.descriptor) + " " + to_string(record.key.bucket);
    EXPECT_EQ(record.key.basis, TuningBasis::kMeasured) << name;
    EXPECT_EQ(record.key.method, kDeviceMethod) << name << ": measure it again: docs/tuning.md";
    EXPECT_EQ(record.key.templates, template_digest(record.key.descriptor))
        << name << ": its templates have changed; measure it again, or take the file out: docs/tuning.md";
    EXPECT_FALSE(record.provenance.driver.empty()) << name;
    EXPECT_FALSE(record.provenance.date.empty()) << name;
  }
}

TEST(ShippedAnswers, AreNoSlowerThanTheDefault) {
  for (const TuningRecord& record : shipped_records())
    EXPECT_LE(record.seconds, record.default_seconds * (1 + record.band)) << to_string(record.key.descriptor);
}

}  // namespace
}  // namespace flashmask::tune
