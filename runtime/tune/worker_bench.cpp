#include "runtime/tune/worker_bench.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "flashmask/error.h"

extern char** environ;

namespace flashmask::tune {
namespace {

/// Closes a descriptor, if there is one.
void close_now(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

[[noreturn]] void cannot(const char* what, int error) {
  throw Error(ErrorCode::kDevice,
              fmt::format("a process that times kernels cannot be started: {}: {}", what, std::strerror(error)));
}

/// Writes all of it. A process that is gone is noticed when its answer is read, so SIGPIPE must not end this one.
void write_all(int descriptor, std::string_view text) {
  sigset_t pipe, before, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  bool broken = false;
  while (!text.empty() && !broken) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    broken = written < 0 && errno != EINTR;
  }
  if (broken && !sigismember(&pending, SIGPIPE)) {
    constexpr timespec kNow{};
    while (sigtimedwait(&pipe, nullptr, &kNow) < 0 && errno == EINTR) continue;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

WorkerBench::WorkerBench(std::vector<std::string> command, BenchJob job, WorkerLimits limits)
    : command_(std::move(command)), job_(std::move(job)), limits_(limits) {}

WorkerBench::~WorkerBench() {
  end();
}

void WorkerBench::start() {
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (::pipe2(in, O_CLOEXEC) != 0) cannot("pipe2", errno);
  if (::pipe2(out, O_CLOEXEC) != 0) {
    const int error = errno;
    close_now(in[0]);
    close_now(in[1]);
    cannot("pipe2", error);
  }
  printed_ = ::memfd_create("printed", MFD_CLOEXEC);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  if (printed_ >= 0) posix_spawn_file_actions_adddup2(&actions, printed_, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // An interrupt from the terminal is for this process, which then ends the other one between two trials.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  std::vector<char*> arguments;
  for (std::string& word : command_) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const int failed = ::posix_spawnp(&process_, arguments.front(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close_now(in[0]);
  close_now(out[1]);
  to_process_ = in[1];
  from_process_ = out[0];
  if (failed != 0) {
    process_ = -1;
    end();
    cannot(command_.front().c_str(), failed);
  }

  write_all(to_process_, to_line(job_) + "\n");
  bool hung = false;
  const auto line = read_line(limits_.start, hung);
  const auto answer = line ? parse_bench_answer(*line) : std::nullopt;
  if (answer && std::holds_alternative<BenchTime>(*answer)) return;
  const std::string why = answer ? std::get<BenchFault>(*answer).reason
                          : hung ? fmt::format("nothing was heard of it for {} s", limits_.start.count() / 1000)
                                 : last_words();
  end();
  throw Error(ErrorCode::kDevice, fmt::format("the process that times kernels cannot begin: {}", why));
}

void WorkerBench::end() {
  close_now(to_process_);
  close_now(from_process_);
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  process_ = -1;
  close_now(printed_);
  unread_.clear();
}

std::optional<std::string> WorkerBench::read_line(std::chrono::milliseconds limit, bool& hung) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (true) {
    if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    hung = left.count() <= 0;
    if (hung) return std::nullopt;
    pollfd polled{from_process_, POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30))) <= 0) continue;
    char buffer[4096];
    const ssize_t count = ::read(from_process_, buffer, sizeof buffer);
    if (count == 0 || (count < 0 && errno != EINTR)) return std::nullopt;
    if (count > 0) unread_.append(buffer, static_cast<std::size_t>(count));
  }
}

std::string WorkerBench::last_words() {
  int status = 0;
  // It has closed its output, so it ends by itself; only a process that forked another one would not.
  ::kill(process_, SIGTERM);
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) continue;
  process_ = -1;
  std::string words = WIFSIGNALED(status) ? fmt::format("its process was ended by signal {} ({})", WTERMSIG(status),
                                                        strsignal(WTERMSIG(status)))
                                          : fmt::format("its process ended with status {}", WEXITSTATUS(status));
  constexpr off_t kMost = 400;
  const off_t size = printed_ < 0 ? 0 : ::lseek(printed_, 0, SEEK_END);
  if (size <= 0) return words;
  std::string printed(static_cast<std::size_t>(std::min(size, kMost)), '\0');
  const ssize_t count = ::pread(printed_, printed.data(), printed.size(), std::max<off_t>(0, size - kMost));
  printed.resize(static_cast<std::size_t>(std::max<ssize_t>(0, count)));
  std::ranges::replace(printed, '\n', ' ');
  return fmt::format("{}; it printed: {}", words, printed);
}

BenchTime WorkerBench::ask(const BenchCommand& command) {
  if (process_ < 0) start();
  write_all(to_process_, to_line(command) + "\n");
  bool hung = false;
  const auto line = read_line(limits_.answer, hung);
  if (!line) {
    const std::string why =
        hung ? fmt::format("no answer for {:.3g} s", static_cast<double>(limits_.answer.count()) / 1e3) : last_words();
    end();
    throw BenchFailure(hung ? TrialOutcome::kHung : TrialOutcome::kCrashed, why);
  }
  const auto answer = parse_bench_answer(*line);
  if (!answer) {
    end();
    throw BenchFailure(TrialOutcome::kCrashed, fmt::format("it answered \"{}\"", line->substr(0, 100)));
  }
  if (const auto* time = std::get_if<BenchTime>(&*answer)) return *time;
  const auto& fault = std::get<BenchFault>(*answer);
  if (fault.is_fatal) end();
  throw BenchFailure(fault.outcome, fault.reason);
}

void WorkerBench::check(const TileConfig& config) {
  ask({.times = false, .config = config, .samples = 0});
}

BenchTime WorkerBench::time(const TileConfig& config, int samples) {
  return ask({.times = true, .config = config, .samples = samples});
}

}  // namespace flashmask::tune
