#include "runtime/manifest/request_recorder.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "flashmask/runtime.h"
#include "recording_device.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RecordingDevice;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::TemporaryDirectory;

KernelRequest request_of(int number) {
  KernelRequest request;
  request.descriptor.head_dim_qk = 8 * (1 + number % 32);
  request.descriptor.head_dim_v = 8 * (1 + number / 32 % 32);
  return request;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t tables_in(const std::string& path) {
  const std::string text = content_of(path);
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find("[[kernels]]", at)) != text.npos; ++at) ++count;
  return count;
}

class RequestRecorderTest : public ::testing::Test {
 protected:
  Policy policy() {
    Policy made;
    made.log = [this](LogLevel, const std::string& message) { warnings_.push_back(message); };
    return made;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.file("kernels.toml");
  std::vector<std::string> warnings_;
  Logger logger_{policy()};
};

TEST_F(RequestRecorderTest, EachRequestIsWrittenOnceAndReadAgain) {
  RequestRecorder recorder(path_, logger_);
  EXPECT_FALSE(std::filesystem::exists(path_));
  for (const int number : {1, 2, 1, 0, 2}) recorder.note(request_of(number));
  EXPECT_EQ(tables_in(path_), 3u);
  EXPECT_THAT(read_manifest(path_).requests, ElementsAre(request_of(0), request_of(1), request_of(2)));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(RequestRecorderTest, WhatTheFileListsAlreadyIsNotWrittenAgain) {
  std::ofstream(path_) << to_text({request_of(1), request_of(2)});
  RequestRecorder recorder(path_, logger_);
  for (const int number : {1, 2, 3}) recorder.note(request_of(number));
  EXPECT_EQ(tables_in(path_), 2u);
  EXPECT_THAT(read_manifest(path_).requests, ElementsAre(request_of(1), request_of(2), request_of(3)));
}

TEST_F(RequestRecorderTest, AnEmptyFileBecomesAManifest) {
  std::ofstream(path_).flush();
  RequestRecorder(path_, logger_).note(request_of(1));
  EXPECT_THAT(read_manifest(path_).requests, ElementsAre(request_of(1)));
}

TEST_F(RequestRecorderTest, AFileThatIsTakenAwayIsBegunAnew) {
  RequestRecorder recorder(path_, logger_);
  recorder.note(request_of(1));
  std::filesystem::rename(path_, path_ + ".old");
  recorder.note(request_of(2));
  EXPECT_THAT(read_manifest(path_).requests, ElementsAre(request_of(2)));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(RequestRecorderTest, ManyProcessesAndThreadsShareAFile) {
  constexpr int kProcesses = 8, kThreads = 4, kRequests = 40;
  for (int process = 0; process < kProcesses; ++process) {
    if (::fork() != 0) continue;
    RequestRecorder recorder(path_, logger_);
    {
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < kThreads; ++thread)
        threads.emplace_back([&, thread] {
          // Half of them are everybody's, half its own.
          for (int i = 0; i < kRequests; ++i) recorder.note(request_of(i % 2 ? i : 100 + kRequests * process + i));
          recorder.note(request_of(700 + kThreads * process + thread));
        });
    }
    ::_exit(warnings_.empty() ? 0 : 1);
  }
  for (int process = 0; process < kProcesses; ++process) {
    int status = -1;
    ASSERT_GT(::wait(&status), 0);
    EXPECT_EQ(status, 0);
  }
  const Manifest manifest = read_manifest(path_);
  EXPECT_THAT(manifest.requests, SizeIs(kRequests / 2 + kProcesses * (kRequests / 2 + kThreads)));
  EXPECT_THAT(manifest.warnings, IsEmpty());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(RequestRecorderTest, AFailureIsOneWarningAndTheEndOfRecording) {
  const std::string path = directory_.file("no/such/folder");
  RequestRecorder recorder(path, logger_);
  for (const int number : {1, 2, 3}) recorder.note(request_of(number));
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr("FLASHMASK_RECORD"), HasSubstr(path))));
}

TEST_F(RequestRecorderTest, SomebodysOtherFileIsLeftAsItIs) {
  std::ofstream(path_) << "precious = true\n";
  RequestRecorder(path_, logger_).note(request_of(1));
  EXPECT_EQ(content_of(path_), "precious = true\n");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("precious")));
}

TEST_F(RequestRecorderTest, APipeOrADirectoryInItsPlaceHoldsNobodyUp) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  RequestRecorder(path_, logger_).note(request_of(1));
  RequestRecorder(directory_.path(), logger_).note(request_of(1));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("not a regular file"), HasSubstr("not a regular file")));
}

TEST_F(RequestRecorderTest, ATableThatTheDiskCutsShortIsOneWarningAndSpoilsNothing) {
  RequestRecorder(path_, logger_).note(request_of(1));
  const auto size = std::filesystem::file_size(path_);
  for (const rlim_t room : {1, 20, 60}) {
    std::filesystem::resize_file(path_, size);
    const pid_t child = ::fork();
    if (child == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{size + room, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      RequestRecorder recorder(path_, logger_);
      recorder.note(request_of(2));
      recorder.note(request_of(3));
      ::_exit(static_cast<int>(warnings_.size()));
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 1);
    EXPECT_EQ(std::filesystem::file_size(path_), size + room);
    RequestRecorder(path_, logger_).note(request_of(4));
    EXPECT_THAT(read_manifest(path_).requests, ElementsAre(request_of(1), request_of(4))) << content_of(path_);
  }
  EXPECT_THAT(warnings_, IsEmpty());
}

class RecordedRuntimeTest : public RequestRecorderTest {
 protected:
  Policy recording_policy() {
    Policy made = policy();
    made.record_path = path_;
    made.no_jit = true;
    return made;
  }
  static ErrorCode code_of(Runtime& runtime, const KernelDescriptor& descriptor, const RequestOptions& options = {}) {
    try {
      runtime.request(descriptor, options);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  }
  const std::shared_ptr<RecordingDevice> device_ = std::make_shared<RecordingDevice>();
};

TEST_F(RecordedRuntimeTest, WhatARuntimeIsAskedForIsRecordedAlsoWhereItCannotGiveIt) {
  Runtime runtime(device_, recording_policy());
  KernelDescriptor descriptor;
  RequestOptions options;
  options.config = parse_tile_config("64x64,w4,s2");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(code_of(runtime, descriptor), ErrorCode::kNotCached);
    EXPECT_EQ(code_of(runtime, descriptor, options), ErrorCode::kNotCached);
  }
  EXPECT_THAT(read_manifest(path_).requests,
              ElementsAre(KernelRequest{descriptor, {}}, KernelRequest{descriptor, options.config}));
  EXPECT_EQ(tables_in(path_), 2u);
}

TEST_F(RecordedRuntimeTest, TheKernelsOfAPlanAreRecordedToo) {
  Runtime runtime(device_, recording_policy());
  const MaskShape mask{.form = MaskForm::kF2, .seqlen_q = 64, .seqlen_k = 64};
  EXPECT_THROW(MaskPlan(runtime, mask, 256), Error);
  EXPECT_THAT(read_manifest(path_).requests,
              ElementsAre(KernelRequest{
                  KernelDescriptor::mask_plan(MaskForm::kF2, CausalAlignment::kBottomRight, {80, false}), {}}));
}

TEST_F(RecordedRuntimeTest, WhatNoKernelServesIsNotRecorded) {
  Runtime runtime(device_, recording_policy());
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 100;
  EXPECT_EQ(code_of(runtime, descriptor), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace flashmask
