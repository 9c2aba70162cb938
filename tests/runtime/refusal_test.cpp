#include "runtime/refusal.h"

#include <gmock/gmock.h>

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<std::string> kRules = {"the first rule", "the second rule"};

TEST(Refusal, OfABrokenRuleIsAnInvalidArgumentWithEveryRule) {
  const Error error = error_of({}, generator::InvalidRequest(kRules));
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr(to_string(KernelDescriptor{})), HasSubstr(kRules[0]), HasSubstr(kRules[1])));
}

TEST(Refusal, WhereNoConfigurationFitsIsUnsupportedWithEveryCandidate) {
  const Error error = error_of({}, generator::NoFittingTile(kRules));
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr(kRules[0]), HasSubstr(kRules[1])));
}

}  // namespace
}  // namespace flashmask
