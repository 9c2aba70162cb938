#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "flashmask/runtime.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using Status = Finding::Status;

Finding finding_of(const Policy& policy, const std::string& subject) {
  for (const Finding& finding : diagnose(policy))
    if (finding.subject == subject) return finding;
  return {subject, Status::kMissing, "not looked for", ""};
}

TEST(Doctor, FindsTheCompilerAndProvesThatItCompiles) {
  const Finding nvrtc = finding_of(Policy::from_environment(), "nvrtc");
  EXPECT_EQ(nvrtc.status, Status::kOk) << nvrtc.detail;
  EXPECT_THAT(nvrtc.detail, AllOf(HasSubstr("nvrtc "), HasSubstr("libnvrtc"), HasSubstr("compiles for sm_80")));
  EXPECT_EQ(nvrtc.mend, "");
}

TEST(Doctor, AMissingCompilerHasAMend) {
  Policy policy;
  policy.nvrtc_path = "/nonexistent/libnvrtc.so.13";
  const Finding nvrtc = finding_of(policy, "nvrtc");
  EXPECT_EQ(nvrtc.status, Status::kMissing);
  EXPECT_THAT(nvrtc.mend, HasSubstr("tools/setup.sh"));
}

TEST(Doctor, TellsTheVersionAndTheDriver) {
  EXPECT_THAT(finding_of(Policy{}, "library").detail, HasSubstr(version()));
  const Finding driver = finding_of(Policy{}, "driver");
  EXPECT_EQ(driver.status == Status::kOk, driver.mend.empty()) << driver.detail;
}

TEST(Doctor, JudgesTheCacheDirectoryInEveryState) {
  const TemporaryDirectory directory;
  Policy policy;
  EXPECT_EQ(finding_of(policy, "cache directory").status, Status::kOk);
  policy.cache_refusal = "no home";
  EXPECT_THAT(finding_of(policy, "cache directory").detail, HasSubstr("no home"));
  policy.cache_directory = directory.file("not/there/yet");
  EXPECT_THAT(finding_of(policy, "cache directory").detail, HasSubstr("created with the first kernel"));
  policy.cache_directory = directory.path();
  EXPECT_EQ(finding_of(policy, "cache directory").status, Status::kOk);
  EXPECT_THAT(finding_of(policy, "cache directory").detail, AllOf(HasSubstr("mode 0700"), HasSubstr("0 entries")));
  ASSERT_EQ(chmod(directory.path().c_str(), 0777), 0);
  const Finding loose = finding_of(policy, "cache directory");
  EXPECT_EQ(loose.status, Status::kProblem);
  EXPECT_THAT(loose.mend, HasSubstr("chmod 700"));
  ASSERT_EQ(chmod(directory.path().c_str(), 0700), 0);
  std::ofstream(directory.file("file")) << "x";
  policy.cache_directory = directory.file("file");
  EXPECT_THAT(finding_of(policy, "cache directory").detail, HasSubstr("not a directory"));
  policy.cache_directory = directory.file("file/below");
  EXPECT_EQ(finding_of(policy, "cache directory").status, Status::kProblem);
}

}  // namespace
}  // namespace flashmask
