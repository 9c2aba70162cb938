// A pack as a file: what may stand in its place, who may have written it, and what the system may refuse.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "faulty_file_system.h"
#include "pack_samples.h"

namespace flashmask::cache {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class PackFileTest : public ::testing::Test {
 protected:
  PackFileTest() { write_to(path_, sample_entries()); }

  void expect_refusal(MissReason reason, const std::string& words, const std::string& path) {
    const Pack::Opening opening = Pack::open(path);
    EXPECT_FALSE(opening.pack);
    EXPECT_EQ(name_of(opening.reason), name_of(reason));
    EXPECT_THAT(opening.refusal, AllOf(HasSubstr(path), HasSubstr(words)));
  }
  void expect_refusal(MissReason reason, const std::string& words) { expect_refusal(reason, words, path_); }

  ScratchDirectory scratch_;
  std::string path_ = scratch_.path() + "/kernels.pack";
};

TEST_F(PackFileTest, IsOpenedThroughALinkWhoseTargetIsJudged) {
  const std::string link = scratch_.path() + "/current";
  fs::create_symlink(path_, link);
  EXPECT_TRUE(Pack::open(link).pack);
  ASSERT_EQ(chmod(path_.c_str(), 0664), 0);
  EXPECT_FALSE(Pack::open(link).pack);
}

TEST_F(PackFileTest, ThatOthersMayWriteIsRefusedWithTheMend) {
  for (mode_t mode : {0620, 0602, 0666, 0777}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    expect_refusal(MissReason::kLoosePermissions, "chmod go-w '" + path_ + "'");
  }
  ASSERT_EQ(chmod(path_.c_str(), 0444), 0);
  EXPECT_TRUE(Pack::open(path_).pack);
}

class OtherUser : public FileSystem {
 public:
  uid_t user() override { return 4711; }
};

TEST_F(PackFileTest, OfAnotherUserIsRefused) {
  if (geteuid() == 0) {
    // What root owns is trusted; so the file is given to a third user.
    ASSERT_EQ(chown(path_.c_str(), 4712, static_cast<gid_t>(-1)), 0);
  }
  OtherUser other;
  const Pack::Opening opening = Pack::open(path_, other);
  EXPECT_FALSE(opening.pack);
  EXPECT_EQ(name_of(opening.reason), "foreign-owner");
}

TEST_F(PackFileTest, ThatIsNoRegularFileIsRefusedAndHoldsNobodyUp) {
  const std::string directory = scratch_.path() + "/directory", fifo = scratch_.path() + "/fifo";
  fs::create_directory(directory);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  expect_refusal(MissReason::kNotARegularFile, "not a regular file", directory);
  expect_refusal(MissReason::kNotARegularFile, "not a regular file", fifo);
}

TEST_F(PackFileTest, ThatIsMissingEmptyOrHugeIsRefused) {
  expect_refusal(MissReason::kAbsent, "No such file", scratch_.path() + "/none");
  fs::create_symlink(scratch_.path() + "/none", scratch_.path() + "/dangling");
  expect_refusal(MissReason::kAbsent, "No such file", scratch_.path() + "/dangling");
  write_file(scratch_.path() + "/empty", "");
  expect_refusal(MissReason::kCorrupt, "empty", scratch_.path() + "/empty");
  write_file(scratch_.path() + "/huge", "flashmask-pack 1 ");
  std::error_code no_such_sizes;
  fs::resize_file(scratch_.path() + "/huge", kMaxPackBytes + 1, no_such_sizes);  // sparse
  if (!no_such_sizes) expect_refusal(MissReason::kTooLarge, "at most", scratch_.path() + "/huge");
}

TEST_F(PackFileTest, AnyCallThatFailsIsARefusalWithItsReason) {
  FaultyFileSystem none(0, 0, FaultyFileSystem::Mode::kOnce);
  ASSERT_TRUE(Pack::open(path_, none).pack);
  // The last call closes the file.
  for (int position = 1; position < none.calls(); ++position)
    for (int error : {ENOMEM, EACCES, EIO, ESTALE}) {
      FaultyFileSystem files(position, error, FaultyFileSystem::Mode::kOnce);
      const Pack::Opening opening = Pack::open(path_, files);
      EXPECT_FALSE(opening.pack) << files.failed_call();
      EXPECT_EQ(name_of(opening.reason), "unreadable") << files.failed_call();
      EXPECT_THAT(opening.refusal, HasSubstr(path_));
      EXPECT_EQ(files.open_descriptors(), 0u) << files.failed_call();
    }
  FaultyFileSystem interrupted(1, EINTR, FaultyFileSystem::Mode::kOnce);
  EXPECT_TRUE(Pack::open(path_, interrupted).pack);
}

TEST_F(PackFileTest, ThatWasReplacedByRenamingStaysAsItWasOpened) {
  const Pack::Opening opening = Pack::open(path_);
  ASSERT_TRUE(opening.pack);
  SampleEntries others;
  others.add(sample_entry(digest_of("z")));
  write_to(path_, others);
  EXPECT_EQ(cubin_of(opening.pack->lookup(digest_of("x"), TagPolicy::any())), "new");
  fs::remove(path_);
  EXPECT_EQ(cubin_of(opening.pack->lookup(digest_of("x"), TagPolicy::any())), "new");
}

TEST_F(PackFileTest, ThatWasCutShortInPlaceServesNothingMore) {
  const Pack::Opening opening = Pack::open(path_);
  ASSERT_TRUE(opening.pack);
  fs::resize_file(path_, 64);
  const LookupResult found = opening.pack->lookup(digest_of("x"), TagPolicy::any());
  EXPECT_EQ(name_of(found.reason), "corrupt");
  EXPECT_THAT(found.detail, AllOf(HasSubstr(path_), HasSubstr("renaming")));
}

TEST_F(PackFileTest, ThatWasWrittenToInPlaceServesNothingMore) {
  const Pack::Opening opening = Pack::open(path_);
  ASSERT_TRUE(opening.pack);
  write_file(path_, read_file(path_));
  fs::last_write_time(path_, fs::last_write_time(path_) + std::chrono::seconds(2));
  EXPECT_EQ(name_of(opening.pack->lookup(digest_of("x"), TagPolicy::any()).reason), "corrupt");
}

}  // namespace
}  // namespace flashmask::cache
