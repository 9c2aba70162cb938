// Processes that start at once and want the same kernel, as the ranks of a job do.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "flashmask/runtime.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

constexpr int kProcesses = 8;
constexpr int kThreads = 8;
constexpr int kFailure = 100;  // an exit status that no count of compilations reaches

/// What one of the processes does: all its threads ask, the cubin goes to a file. The count of its compilations.
int ask_for_a_kernel(const Policy& policy, const std::string& cubin_file) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 32;
  descriptor.head_dim_v = 32;
  Runtime runtime(nullptr, policy);
  std::vector<std::vector<std::byte>> cubins(kThreads);
  std::vector<std::thread> threads;
  for (std::vector<std::byte>& cubin : cubins) threads.emplace_back([&] { cubin = runtime.compile(descriptor).cubin; });
  for (std::thread& thread : threads) thread.join();
  if (std::any_of(cubins.begin(), cubins.end(), [&](const auto& cubin) { return cubin != cubins.front(); }))
    return kFailure;
  std::ofstream(cubin_file, std::ios::binary)
      .write(reinterpret_cast<const char*>(cubins.front().data()), static_cast<std::streamsize>(cubins.front().size()));
  return static_cast<int>(runtime.counters().compiles);
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(RuntimeProcesses, EightProcessesOfEightThreadsShareOneCompilation) {
  testing::TemporaryDirectory directory;
  Policy policy = Policy::from_environment();
  policy.cache_directory = directory.file("cache");
  policy.no_jit = false;
  policy.toolchain.clear();
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      int status = kFailure;
      try {
        status = ask_for_a_kernel(policy, directory.file(std::to_string(i)));
      } catch (...) {
      }
      _exit(status);
    }
    children.push_back(child);
  }
  int compiles = 0;
  for (const pid_t child : children) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_LT(WEXITSTATUS(status), kFailure);
    compiles += WEXITSTATUS(status);
  }
  EXPECT_EQ(compiles, 1);
  const std::string first = content_of(directory.file("0"));
  EXPECT_FALSE(first.empty());
  for (int i = 1; i < kProcesses; ++i) EXPECT_EQ(content_of(directory.file(std::to_string(i))), first) << i;
}

}  // namespace
}  // namespace flashmask
