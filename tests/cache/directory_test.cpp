#include "cache/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flashmask::cache {
namespace {

using ::testing::HasSubstr;

TEST(DefaultDirectory, FollowsXdgCacheHome) {
  EXPECT_EQ(default_directory("/x/cache", "/home/me").path, "/x/cache/flashmask");
  EXPECT_EQ(default_directory("/x/cache/", "/home/me").path, "/x/cache/flashmask");
  EXPECT_EQ(default_directory("/", "/home/me").path, "/flashmask");
}

TEST(DefaultDirectory, FallsBackToHome) {
  EXPECT_EQ(default_directory(std::nullopt, "/home/me").path, "/home/me/.cache/flashmask");
  EXPECT_EQ(default_directory("", "/home/me/").path, "/home/me/.cache/flashmask");
}

TEST(DefaultDirectory, IgnoresARelativeXdgCacheHome) {
  EXPECT_EQ(default_directory("cache", "/home/me").path, "/home/me/.cache/flashmask");
  EXPECT_EQ(default_directory("./cache", "/home/me").path, "/home/me/.cache/flashmask");
}

TEST(DefaultDirectory, IsRefusedWithoutAnAbsoluteHome) {
  for (const auto& home : {std::optional<std::string_view>{}, std::optional<std::string_view>{""},
                           std::optional<std::string_view>{"home/me"}}) {
    const DirectoryChoice choice = default_directory("relative", home);
    EXPECT_EQ(choice.path, "");
    EXPECT_THAT(choice.refusal, HasSubstr("HOME"));
  }
}

struct stat directory_status(uid_t owner, mode_t mode) {
  struct stat status{};
  status.st_uid = owner;
  status.st_mode = S_IFDIR | mode;
  return status;
}

TEST(RefuseDirectory, AcceptsTheUsersAndRootsOwn) {
  EXPECT_FALSE(refuse_directory("/c", directory_status(1000, 0700), 1000));
  EXPECT_FALSE(refuse_directory("/c", directory_status(1000, 0755), 1000));
  EXPECT_FALSE(refuse_directory("/c", directory_status(0, 0755), 1000));
}

TEST(RefuseDirectory, NamesTheCommandThatMendsIt) {
  EXPECT_THAT(refuse_directory("/c d", directory_status(1000, 0777), 1000).value_or(""),
              HasSubstr("chmod go-w '/c d'"));
  EXPECT_THAT(refuse_directory("/c", directory_status(1000, 0720), 1000).value_or(""), HasSubstr("chmod go-w '/c'"));
  EXPECT_THAT(refuse_directory("/c", directory_status(1001, 0700), 1000).value_or(""), HasSubstr("chown 1000 '/c'"));
  EXPECT_THAT(refuse_directory("/it's", directory_status(1000, 0702), 1000).value_or(""),
              HasSubstr("chmod go-w '/it'\\''s'"));
}

TEST(RefuseDirectory, RefusesAFile) {
  struct stat status{};
  status.st_mode = S_IFREG | 0700;
  EXPECT_TRUE(refuse_directory("/c", status, 0));
}

}  // namespace
}  // namespace flashmask::cache
