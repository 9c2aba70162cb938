#include "flashmask/kernel_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "cache/pack_writer.h"
#include "flashmask/error.h"
#include "kept_kernels.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::content_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kept_kernel;
using testing::KeptKernel;
using testing::small_kernel;
using testing::write_pack_of;

template <typename Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

class KernelCacheTest : public ::testing::Test {
 protected:
  Policy policy(const std::string& directory) {
    Policy made;
    made.cache_directory = directory;
    return made;
  }
  Policy policy() { return policy(cache_); }
  std::string path_of(const KeptKernel& kernel) const {
    return cache_ + "/" + cache::Store::entry_path(kernel.digest, kernel.tag());
  }
  std::vector<std::string> files_in(const std::string& directory) const {
    std::vector<std::string> names;
    for (const auto& item : fs::recursive_directory_iterator(directory))
      if (item.is_regular_file()) names.push_back(item.path().filename());
    return names;
  }

  testing::TemporaryDirectory directory_;
  std::string cache_ = directory_.file("cache");
  std::string pack_ = directory_.file("kernels.pack");
  const KeptKernel bf16_ = kept_kernel(small_kernel());
  const KeptKernel fp16_ = kept_kernel(small_kernel(DataType::kFloat16));
  const KeptKernel other_target_ = kept_kernel(small_kernel(DataType::kBfloat16, {86, false}));
};

// ---- looking

TEST_F(KernelCacheTest, ListsEveryKernelWithItsRecord) {
  bf16_.publish(cache_);
  fp16_.publish(cache_, false);
  const CacheContents contents = KernelCache(policy()).list();
  ASSERT_EQ(contents.entries.size(), 2u);
  EXPECT_EQ(contents.broken(), 0u);
  EXPECT_EQ(contents.failure, "");
  for (const KeptKernel* kept : {&bf16_, &fp16_}) {
    const auto found = std::find_if(contents.entries.begin(), contents.entries.end(),
                                    [&](const CacheEntry& each) { return each.digest == kept->digest.hex(); });
    ASSERT_NE(found, contents.entries.end());
    EXPECT_TRUE(found->record == kept->record);
    EXPECT_EQ(found->toolchain_tag, "nvrtc-13.0.88");
    EXPECT_EQ(found->place, path_of(*kept));
    EXPECT_EQ(found->bytes, fs::file_size(found->place));
    EXPECT_EQ(found->has_ptx, kept == &bf16_);
    EXPECT_LT(std::chrono::system_clock::now() - found->last_used.value(), std::chrono::minutes(5));
  }
}

TEST_F(KernelCacheTest, ADirectoryThatIsNotThereYetIsEmptyAndStaysAway) {
  EXPECT_THAT(KernelCache(policy()).list().entries, IsEmpty());
  EXPECT_FALSE(fs::exists(cache_));
}

TEST_F(KernelCacheTest, ABrokenFileIsToldWithItsReason) {
  bf16_.publish(cache_);
  fp16_.publish(cache_);
  fs::resize_file(path_of(bf16_), 100);
  KeptKernel forged = other_target_;
  forged.cubin = fp16_.cubin;
  forged.publish(cache_);
  const CacheContents contents = KernelCache(policy()).list();
  EXPECT_EQ(contents.broken(), 2u);
  for (const CacheEntry& kernel : contents.entries) {
    if (kernel.place == path_of(bf16_)) {
      EXPECT_EQ(kernel.defect, "corrupt");
      EXPECT_THAT(kernel.detail, HasSubstr("truncated"));
    } else if (kernel.place == path_of(other_target_)) {
      EXPECT_EQ(kernel.defect, "refused");
      EXPECT_THAT(kernel.detail, HasSubstr("sm_80"));
    } else {
      EXPECT_EQ(kernel.defect, "");
    }
  }
}

TEST_F(KernelCacheTest, FindsByTheBeginningOfADigest) {
  bf16_.publish(cache_);
  kept_kernel(small_kernel(), "nvrtc 12.9.86").publish(cache_);
  fp16_.publish(cache_);
  const KernelCache cache(policy());
  std::string prefix = bf16_.digest.hex().substr(0, 12);
  const auto found = cache.find(prefix);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].toolchain_tag, "nvrtc-13.0.88");
  EXPECT_TRUE(found[0].record == bf16_.record);
  EXPECT_EQ(found[1].record->toolchain, "nvrtc 12.9.86");
  std::transform(prefix.begin(), prefix.end(), prefix.begin(), [](unsigned char c) { return std::toupper(c); });
  EXPECT_EQ(cache.find(prefix).size(), 2u);
  for (const std::string wrong : {"", "abc", "xyz0", "../../etc", "0123g"})
    EXPECT_EQ(error_of([&] { cache.find(wrong); }).code(), ErrorCode::kInvalidArgument) << wrong;
  EXPECT_EQ(error_of([&] { cache.find(std::string(65, 'a')); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { cache.find("00000000000000"); }).code(), ErrorCode::kNotFound);
}

TEST_F(KernelCacheTest, APrefixOfSeveralDigestsIsRefusedNamingThem) {
  // Two names that begin alike; what is in them does not matter.
  for (const char* last : {"1", "2"}) {
    KeptKernel kernel = bf16_;
    kernel.digest = cache::Digest::from_hex(std::string(63, 'a') + last).value();
    kernel.publish(cache_);
  }
  const Error error = error_of([&] { KernelCache(policy()).find("aaaa"); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("2 digests"), HasSubstr(std::string(63, 'a') + "2")));
}

TEST_F(KernelCacheTest, ExtractsASectionOfTheNewestWantedToolchain) {
  bf16_.publish(cache_);
  const KeptKernel old = kept_kernel(small_kernel(), "nvrtc 12.9.86", "older code");
  old.publish(cache_);
  const std::string digest = bf16_.digest.hex();
  EXPECT_EQ(KernelCache(policy()).extract(digest, "cubin"), bf16_.cubin);
  Policy twelve = policy();
  twelve.toolchain = "12";
  EXPECT_EQ(KernelCache(twelve).extract(digest, "cubin"), old.cubin);
  EXPECT_EQ(KernelCache(policy()).extract(digest, "ptx").size(), bf16_.ptx.size());
  const Error error = error_of([&] { KernelCache(policy()).extract(digest, "sass"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("sass"), HasSubstr("cubin, ptx")));
}

TEST_F(KernelCacheTest, LookingIsNoUse) {
  bf16_.publish(cache_);
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(50);
  fs::last_write_time(path_of(bf16_), long_ago);
  const KernelCache cache(policy());
  cache.list();
  cache.find(bf16_.digest.hex());
  cache.extract(bf16_.digest.hex(), "cubin");
  cache.export_pack(pack_);
  EXPECT_EQ(fs::last_write_time(path_of(bf16_)), long_ago);
}

TEST_F(KernelCacheTest, WithoutADirectoryOrWithOneThatOthersMayWriteItSaysWhatToDo) {
  EXPECT_EQ(error_of([&] { KernelCache cache(policy("")); }).code(), ErrorCode::kNotFound);
  bf16_.publish(cache_);
  ASSERT_EQ(chmod(cache_.c_str(), 0777), 0);
  const Error error = error_of([&] { KernelCache cache(policy()); });
  EXPECT_EQ(error.code(), ErrorCode::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("chmod go-w '" + cache_ + "'"));
}

// ---- removing

TEST_F(KernelCacheTest, CollectsClearsAndRemovesWhatIsBroken) {
  for (const KeptKernel* kernel : {&bf16_, &fp16_, &other_target_}) kernel->publish(cache_);
  fs::resize_file(path_of(bf16_), 100);
  KernelCache cache(policy());
  EXPECT_EQ(cache.remove_broken().files, 1u);
  EXPECT_FALSE(fs::exists(path_of(bf16_)));
  fs::last_write_time(path_of(fp16_), fs::file_time_type::clock::now() - std::chrono::hours(3));
  EXPECT_EQ(cache.collect(fs::file_size(path_of(other_target_))).files, 1u);
  EXPECT_FALSE(fs::exists(path_of(fp16_)));
  EXPECT_TRUE(fs::exists(path_of(other_target_)));
  EXPECT_EQ(cache.clear().files, 1u);
  EXPECT_THAT(cache.list().entries, IsEmpty());
}

// ---- packing

TEST_F(KernelCacheTest, AnExportedPackIsImportedAsItWas) {
  bf16_.publish(cache_);
  fp16_.publish(cache_);
  const ExportReport exported = KernelCache(policy()).export_pack(pack_);
  EXPECT_EQ(exported.entries, 2u);
  EXPECT_EQ(exported.bytes, fs::file_size(pack_));
  EXPECT_EQ(fs::status(pack_).permissions() & fs::perms::others_write, fs::perms::none);

  const std::string second = directory_.file("second");
  KernelCache imported(policy(second));
  const ImportReport report = imported.import_pack(pack_);
  EXPECT_EQ(report.stored, 2u);
  EXPECT_THAT(report.failures, IsEmpty());
  for (const KeptKernel* kernel : {&bf16_, &fp16_})
    EXPECT_EQ(content_of(second + "/" + cache::Store::entry_path(kernel->digest, kernel->tag())),
              content_of(path_of(*kernel)));
  EXPECT_EQ(imported.import_pack(pack_).present, 2u);
}

TEST_F(KernelCacheTest, EqualCachesGiveEqualPacksWhateverTheirHistory) {
  const std::string second = directory_.file("second");
  bf16_.publish(cache_);
  fp16_.publish(cache_);
  fp16_.publish(second);
  other_target_.publish(second);
  bf16_.publish(second);
  fs::remove(second + "/" + cache::Store::entry_path(other_target_.digest, other_target_.tag()));
  KernelCache(policy()).export_pack(pack_);
  KernelCache(policy(second)).export_pack(directory_.file("second.pack"));
  EXPECT_EQ(content_of(pack_), content_of(directory_.file("second.pack")));
}

TEST_F(KernelCacheTest, ExportsWhatIsWantedWithoutPtxAndWithoutWhatIsBroken) {
  for (const KeptKernel* kernel : {&bf16_, &fp16_, &other_target_}) kernel->publish(cache_);
  fs::resize_file(path_of(fp16_), 100);
  ExportOptions options;
  options.wanted = [](const CacheEntry& kernel) { return kernel.record->descriptor.target == Target{80, false}; };
  options.drop_ptx = true;
  const ExportReport report = KernelCache(policy()).export_pack(pack_, options);
  EXPECT_EQ(report.entries, 1u);
  EXPECT_EQ(report.left_out, 1u);
  EXPECT_EQ(report.broken, 1u);
  const CacheContents packed = read_pack(pack_);
  ASSERT_EQ(packed.entries.size(), 1u);
  EXPECT_TRUE(packed.entries[0].record == bf16_.record);
  EXPECT_FALSE(packed.entries[0].has_ptx);
  EXPECT_EQ(packed.entries[0].place, pack_);
}

TEST_F(KernelCacheTest, AnExportThatIsStoppedOrCannotBeWrittenLeavesNothingBehind) {
  bf16_.publish(cache_);
  KernelCache cache(policy());
  EXPECT_EQ(error_of([&] { KernelCache(policy(directory_.file("empty"))).export_pack(pack_); }).code(),
            ErrorCode::kNotFound);
  const Error error = error_of([&] { cache.export_pack(directory_.file("no/such/directory/pack")); });
  EXPECT_EQ(error.code(), ErrorCode::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("No such file or directory"));
  ExportOptions options;
  options.progress = [](std::size_t, std::size_t) { throw std::runtime_error("stop"); };
  EXPECT_THROW(cache.export_pack(pack_, options), std::runtime_error);
  fs::create_directory(pack_);
  EXPECT_EQ(error_of([&] { cache.export_pack(pack_); }).code(), ErrorCode::kStorage);
  EXPECT_THAT(files_in(directory_.path()), ::testing::SizeIs(1));  // the kernel in the cache
}

// ---- unpacking what may be hostile

TEST_F(KernelCacheTest, OneBadEntryRefusesAWholePackAndNothingIsStored) {
  KeptKernel wrong_cubin = kept_kernel(small_kernel(DataType::kFloat16));
  wrong_cubin.cubin = other_target_.cubin;
  const auto forge = [&](const cache::EntryView& view) {
    const std::string source = directory_.file("forged");
    fs::remove_all(source);
    cache::Store store({.directory = source});
    ASSERT_TRUE(store.publish(view));
    bf16_.publish(store);
    // By the cache's own writer: the runtime's would leave out what is broken.
    cache::AtomicFile file(cache::FileSystem::real(), AT_FDCWD, pack_);
    cache::write_pack(file, {{view.digest, std::string(view.toolchain_tag)}, {bf16_.digest, bf16_.tag()}},
                      [&](const cache::PackName& name) {
                        return *store.lookup(name.digest, cache::TagPolicy::exact(name.tag)).entry;
                      });
    ASSERT_EQ(file.commit(), 0);
  };
  const auto expect_refused = [&](const std::string& words) {
    KernelCache cache(policy());
    const Error error = error_of([&] { cache.import_pack(pack_); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("nothing was imported"), HasSubstr("1 of 2"), HasSubstr(words)));
    EXPECT_FALSE(fs::exists(cache_));
  };
  const std::string fp16_json = to_json(fp16_.record);
  forge({fp16_.digest, "nvrtc-13.0.88", fp16_json, {{"cubin", wrong_cubin.cubin}}});
  expect_refused("sm_86");
  forge({fp16_.digest, "nvrtc-13.0.88", fp16_json, {{"ptx", fp16_.cubin}}});
  expect_refused("no cubin");
  forge({fp16_.digest, "nvrtc-13.0.88", fp16_json, {{"cubin", bf16_.cubin}}});
  expect_refused("no code of " + fp16_.record.entry);
  forge({fp16_.digest, "nvrtc-99.0.1", fp16_json, {{"cubin", fp16_.cubin}}});
  expect_refused("nvrtc-99.0.1");
  forge({fp16_.digest, "nvrtc-13.0.88", "{}", {{"cubin", fp16_.cubin}}});
  expect_refused("record is not readable");
  const std::string deep(cache::kMaxMetadataBytes, '[');
  forge({fp16_.digest, "nvrtc-13.0.88", deep, {{"cubin", fp16_.cubin}}});
  expect_refused("record is not readable");
  std::string unknown_target = fp16_json;
  unknown_target.replace(unknown_target.find("sm_80"), 5, "sm_999");
  forge({fp16_.digest, "nvrtc-13.0.88", unknown_target, {{"cubin", fp16_.cubin}}});
  expect_refused("sm_999");
  std::string impossible = fp16_json;
  impossible.replace(impossible.find("\"head_dim_qk\": 32"), 17, "\"head_dim_qk\": 33");
  forge({fp16_.digest, "nvrtc-13.0.88", impossible, {{"cubin", fp16_.cubin}}});
  expect_refused("describes no kernel");
}

TEST_F(KernelCacheTest, APackOfANewerVersionIsUnsupportedAndADamagedOneMalformed) {
  write_pack_of(pack_, {bf16_});
  const std::string good = content_of(pack_);
  KernelCache cache(policy());
  const auto code_of = [&](const std::string& bytes) {
    std::ofstream(pack_, std::ios::binary | std::ios::trunc) << bytes;
    return error_of([&] { cache.import_pack(pack_); }).code();
  };
  std::string newer = good;
  newer[std::string_view("flashmask-pack ").size()] = '2';
  EXPECT_EQ(code_of(newer), ErrorCode::kUnsupported);
  EXPECT_THAT(error_of([&] { cache.import_pack(pack_); }).what(),
              AllOf(HasSubstr("version 2"), HasSubstr("version 1")));
  EXPECT_EQ(code_of(good.substr(0, good.size() / 2)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of("#!/bin/sh\n"), ErrorCode::kInvalidArgument);
  std::string flipped = good;
  flipped[good.find("code")] ^= 1;
  EXPECT_EQ(code_of(flipped), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { cache.import_pack(directory_.file("absent")); }).code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(cache_));
}

TEST_F(KernelCacheTest, APackThatOthersMayWriteIsNotImported) {
  write_pack_of(pack_, {bf16_});
  ASSERT_EQ(chmod(pack_.c_str(), 0664), 0);
  const Error error = error_of([&] { KernelCache(policy()).import_pack(pack_); });
  EXPECT_EQ(error.code(), ErrorCode::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("chmod go-w"));
}

TEST_F(KernelCacheTest, OnlyKernelsForTheWantedTargetsAreImported) {
  write_pack_of(pack_, {bf16_, other_target_});
  KernelCache cache(policy());
  ImportOptions options;
  options.targets = {{90, true}};
  const Error error = error_of([&] { cache.import_pack(pack_, options); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("sm_80, sm_86"), HasSubstr("sm_90a")));
  options.targets.push_back({86, false});
  const ImportReport report = cache.import_pack(pack_, options);
  EXPECT_EQ(report.stored, 1u);
  EXPECT_EQ(report.left_out, 1u);
  EXPECT_TRUE(fs::exists(path_of(other_target_)));
  EXPECT_FALSE(fs::exists(path_of(bf16_)));
}

TEST_F(KernelCacheTest, AKernelThatIsThereIsNeverReplacedByLess) {
  bf16_.publish(cache_);
  fp16_.publish(cache_, false);
  const std::string before = content_of(path_of(bf16_));
  write_pack_of(pack_, {bf16_}, true);
  KernelCache cache(policy());
  EXPECT_EQ(cache.import_pack(pack_).present, 1u);
  EXPECT_EQ(content_of(path_of(bf16_)), before);
  write_pack_of(directory_.file("whole.pack"), {fp16_});
  EXPECT_EQ(cache.import_pack(directory_.file("whole.pack")).stored, 1u);
  fs::resize_file(path_of(fp16_), 100);
  EXPECT_EQ(cache.import_pack(directory_.file("whole.pack")).stored, 1u) << "a broken one is replaced";
}

TEST_F(KernelCacheTest, APackLargerThanTheCacheMayGrowIsRefused) {
  write_pack_of(pack_, {bf16_, fp16_});
  Policy small = policy();
  small.cache_bytes = 1000;
  const Error error = error_of([&] { KernelCache(small).import_pack(pack_); });
  EXPECT_EQ(error.code(), ErrorCode::kStorage);
  EXPECT_THAT(error.hint(), AllOf(HasSubstr("FLASHMASK_CACHE_SIZE"), HasSubstr("FLASHMASK_PACKS=" + pack_)));
}

TEST_F(KernelCacheTest, AnImportTellsWhatCouldNotBeStored) {
  write_pack_of(pack_, {bf16_, fp16_});
  fs::create_directories(path_of(bf16_));  // in the way
  fs::permissions(cache_, fs::perms::owner_all);
  fs::permissions(cache_ + "/v1", fs::perms::owner_all);
  fs::permissions(fs::path(path_of(bf16_)).parent_path(), fs::perms::owner_all);
  const ImportReport report = KernelCache(policy()).import_pack(pack_);
  EXPECT_EQ(report.stored, 1u);
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_THAT(report.failures[0], HasSubstr(bf16_.digest.hex()));
}

// ---- compiling again

TEST_F(KernelCacheTest, ARebuildComparesWhatThisCompilerMakesAndTellsTheRest) {
  Policy compiling = Policy::from_environment();
  compiling.cache_directory = cache_;
  compiling.no_jit = false;
  compiling.toolchain.clear();
  Runtime(nullptr, compiling).compile(small_kernel());
  const std::string toolchain =
      KernelCache(policy()).find(Runtime(nullptr, compiling).explain(small_kernel()).digest).front().record->toolchain;
  KeptKernel forged = kept_kernel(small_kernel(DataType::kFloat16), toolchain);
  forged.publish(cache_);
  KeptKernel stale = other_target_;
  stale.digest = cache::digest_of("the text of another version");
  stale.publish(cache_);
  kept_kernel(small_kernel(), "nvrtc 1.2.3").publish(cache_);

  Runtime compiler(nullptr, without_cache(compiling));
  std::size_t steps = 0;
  const auto rebuilt = KernelCache(policy()).rebuild(compiler, [&](std::size_t, std::size_t) { ++steps; });
  EXPECT_EQ(steps, rebuilt.size());
  const auto outcome_of = [&](const std::string& digest, const std::string& tag) {
    for (const RebuiltKernel& each : rebuilt)
      if (each.entry.digest == digest && each.entry.toolchain_tag == tag) return std::string(to_string(each.outcome));
    return std::string("not there");
  };
  const std::string tag = toolchain_tag(toolchain);
  EXPECT_EQ(outcome_of(bf16_.digest.hex(), tag), "equal");
  EXPECT_EQ(outcome_of(forged.digest.hex(), tag), "different");
  EXPECT_EQ(outcome_of(stale.digest.hex(), stale.tag()), "other-text");
  EXPECT_EQ(outcome_of(bf16_.digest.hex(), "nvrtc-1.2.3"), "other-toolchain");
  EXPECT_EQ(rebuilt.size(), 4u);
}

TEST_F(KernelCacheTest, ARebuildWithARuntimeThatHasACacheIsRefused) {
  bf16_.publish(cache_);
  Runtime cached(nullptr, policy());
  EXPECT_EQ(error_of([&] { KernelCache(policy()).rebuild(cached); }).code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace flashmask
