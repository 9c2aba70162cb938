#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <string>

#include "flashmask/runtime.h"
#include "runtime/environment.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The environment of one test: unset what the policy reads, set what the test wants, put everything back.
class PolicyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const SetVariable& variable : set_variables()) unset(variable.name);
    for (const char* name : {"XDG_CACHE_HOME", "CUDA_HOME", "CUDA_PATH"}) unset(name);
    set("HOME", "/home/somebody");
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) {
      if (value)
        setenv(name.c_str(), value->c_str(), 1);
      else
        unsetenv(name.c_str());
    }
  }
  void set(const std::string& name, const std::string& value) {
    save(name);
    setenv(name.c_str(), value.c_str(), 1);
  }
  void unset(const std::string& name) {
    save(name);
    unsetenv(name.c_str());
  }
  static std::string refusal() {
    try {
      Policy::from_environment();
      return "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
  }

 private:
  void save(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    before_.try_emplace(name, value ? std::optional<std::string>(value) : std::nullopt);
  }
  std::map<std::string, std::optional<std::string>> before_;
};

TEST_F(PolicyTest, DefaultsAreTheUsersCacheAndWarnings) {
  const Policy policy = Policy::from_environment();
  EXPECT_EQ(policy.cache_directory, "/home/somebody/.cache/flashmask");
  EXPECT_EQ(policy.cache_refusal, "");
  EXPECT_FALSE(policy.no_jit);
  EXPECT_EQ(policy.nvrtc_path, "");
  EXPECT_EQ(policy.toolchain, "");
  EXPECT_EQ(policy.log_level, LogLevel::kWarning);
}

TEST_F(PolicyTest, TheCacheDirectoryCanBeNamedMovedAndTurnedOff) {
  set("XDG_CACHE_HOME", "/xdg");
  EXPECT_EQ(Policy::from_environment().cache_directory, "/xdg/flashmask");
  set("FLASHMASK_CACHE_DIR", "/named");
  EXPECT_EQ(Policy::from_environment().cache_directory, "/named");
  set("FLASHMASK_CACHE_DIR", "off");
  EXPECT_EQ(Policy::from_environment().cache_directory, "");
  EXPECT_EQ(Policy::from_environment().cache_refusal, "");
  set("FLASHMASK_CACHE_DIR", "relative/folder");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("FLASHMASK_CACHE_DIR"), HasSubstr("relative/folder"), HasSubstr("absolute")));
}

TEST_F(PolicyTest, TheCachesSizeIsReadStrictlyWithItsUnit) {
  EXPECT_EQ(Policy::from_environment().cache_bytes, std::uint64_t{2} << 30);
  for (const auto& [text, bytes] : std::map<std::string, std::uint64_t>{{"1KiB", 1024},
                                                                        {"512MiB", std::uint64_t{512} << 20},
                                                                        {"3GiB", std::uint64_t{3} << 30},
                                                                        {"16777215TiB", std::uint64_t{16777215} << 40},
                                                                        {"unlimited", kUnlimitedCacheBytes},
                                                                        {"", kDefaultCacheBytes}}) {
    set("FLASHMASK_CACHE_SIZE", text);
    EXPECT_EQ(Policy::from_environment().cache_bytes, bytes) << text;
  }
  for (const char* wrong : {"0", "0MiB", "512", "-1MiB", "+1MiB", "1.5GiB", "1 GiB", "1GB", "1gib", "GiB", " 1GiB",
                            "16777216TiB", "99999999999999999999KiB", "none"}) {
    set("FLASHMASK_CACHE_SIZE", wrong);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("FLASHMASK_CACHE_SIZE"), HasSubstr(wrong), HasSubstr("unlimited")));
  }
}

TEST_F(PolicyTest, TheWaitForAnotherProcessIsReadStrictlyInWholeSeconds) {
  EXPECT_EQ(Policy::from_environment().compile_wait, std::chrono::minutes(1));
  for (const int seconds : {0, 1, 90, 3600}) {
    set("FLASHMASK_COMPILE_WAIT", std::to_string(seconds));
    EXPECT_EQ(Policy::from_environment().compile_wait, std::chrono::seconds(seconds));
  }
  set("FLASHMASK_COMPILE_WAIT", "");
  EXPECT_EQ(Policy::from_environment().compile_wait, kDefaultCompileWait);
  for (const char* wrong :
       {"-1", "+1", "3601", "1.5", "1s", " 1", "1 ", "0x10", "forever", "4294967297", "99999999999999999999"}) {
    set("FLASHMASK_COMPILE_WAIT", wrong);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("FLASHMASK_COMPILE_WAIT"), HasSubstr(wrong), HasSubstr("0 to 3600")));
  }
}

TEST_F(PolicyTest, PacksAndReadOnlyDirectoriesAreListsOfAbsolutePaths) {
  EXPECT_THAT(Policy::from_environment().packs, IsEmpty());
  set("FLASHMASK_PACKS", "/opt/a.pack:/opt/b c.pack");
  set("FLASHMASK_CACHE_READONLY", "/shared");
  EXPECT_THAT(Policy::from_environment().packs, ElementsAre("/opt/a.pack", "/opt/b c.pack"));
  EXPECT_THAT(Policy::from_environment().read_only_directories, ElementsAre("/shared"));
  for (const char* wrong : {"a.pack", "/a:b", "/a:", ":/a", "/a::/b", ":", "~/a"}) {
    set("FLASHMASK_PACKS", wrong);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("FLASHMASK_PACKS"), HasSubstr(wrong), HasSubstr("absolute paths"))) << wrong;
  }
  set("FLASHMASK_PACKS", "");
  set("FLASHMASK_CACHE_READONLY", "shared");
  EXPECT_THAT(refusal(), HasSubstr("FLASHMASK_CACHE_READONLY = \"shared\""));
}

TEST_F(PolicyTest, WithoutAHomeThereIsNoCacheAndAReason) {
  unset("HOME");
  const Policy policy = Policy::from_environment();
  EXPECT_EQ(policy.cache_directory, "");
  EXPECT_NE(policy.cache_refusal, "");
}

TEST_F(PolicyTest, SwitchesAndLevelsAreReadStrictly) {
  set("FLASHMASK_NO_JIT", "1");
  EXPECT_TRUE(Policy::from_environment().no_jit);
  set("FLASHMASK_NO_JIT", "0");
  EXPECT_FALSE(Policy::from_environment().no_jit);
  set("FLASHMASK_NO_JIT", "yes");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("FLASHMASK_NO_JIT = \"yes\""), HasSubstr("0 or 1")));
  set("FLASHMASK_NO_JIT", "");
  set("FLASHMASK_LOG", "off");
  EXPECT_EQ(Policy::from_environment().log_level, std::nullopt);
  set("FLASHMASK_LOG", "debug");
  EXPECT_EQ(Policy::from_environment().log_level, LogLevel::kDebug);
  set("FLASHMASK_LOG", "DEBUG");
  EXPECT_THAT(refusal(), HasSubstr("debug, info, warning, error or off"));
}

TEST_F(PolicyTest, TheCompilerCanBeNamedAndItsVersionDemanded) {
  set("FLASHMASK_NVRTC", "/opt/libnvrtc.so.13");
  set("CUDA_HOME", "/opt/cuda");
  set("CUDA_PATH", "/opt/cuda");
  set("FLASHMASK_TOOLCHAIN", "13.0.88");
  const Policy policy = Policy::from_environment();
  EXPECT_EQ(policy.nvrtc_path, "/opt/libnvrtc.so.13");
  EXPECT_THAT(policy.cuda_toolkits, ElementsAre("/opt/cuda"));
  EXPECT_EQ(policy.toolchain, "13.0.88");
  set("FLASHMASK_TOOLCHAIN", "any");
  EXPECT_EQ(Policy::from_environment().toolchain, "");
  set("FLASHMASK_TOOLCHAIN", "13.0");
  EXPECT_THAT(refusal(), HasSubstr("FLASHMASK_TOOLCHAIN"));
}

TEST_F(PolicyTest, AVariableThatNothingReadsIsNoticed) {
  set("FLASHMASK_NOJIT", "1");
  const auto variables = set_variables();
  ASSERT_EQ(variables.size(), 1u);
  EXPECT_EQ(variables[0].name, "FLASHMASK_NOJIT");
  EXPECT_EQ(variables[0].value, "1");
  EXPECT_FALSE(variables[0].known);
}

TEST(Toolchain, PoliciesAcceptAnyAMajorVersionOrOneBuild) {
  EXPECT_TRUE(accepts_toolchain("", "nvrtc-12.4.127"));
  EXPECT_TRUE(accepts_toolchain("13", "nvrtc-13.0.88"));
  EXPECT_TRUE(accepts_toolchain("13", "nvrtc-13.1"));
  EXPECT_FALSE(accepts_toolchain("1", "nvrtc-13.0.88"));
  EXPECT_FALSE(accepts_toolchain("13", "nvrtc-12.9.86"));
  EXPECT_TRUE(accepts_toolchain("13.0.88", "nvrtc-13.0.88"));
  EXPECT_FALSE(accepts_toolchain("13.0.8", "nvrtc-13.0.88"));
  EXPECT_FALSE(accepts_toolchain("13", "clang-13.0.0"));
  EXPECT_EQ(toolchain_tag("nvrtc 13.0.88"), "nvrtc-13.0.88");
}

TEST(Toolchain, OnlyWholeVersionsArePolicies) {
  for (const char* fine : {"", "12", "13.0.88"}) EXPECT_TRUE(is_toolchain_policy(fine)) << fine;
  for (const char* wrong : {"13.", ".13", "13.0", "1..2", "13.0.88.1", "v13", "13 "})
    EXPECT_FALSE(is_toolchain_policy(wrong)) << wrong;
}

}  // namespace
}  // namespace flashmask
