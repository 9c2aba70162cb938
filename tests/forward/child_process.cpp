#include "tests/forward/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

extern char** environ;

namespace flashmask::forward_tests {

Child::Child(const std::vector<std::string>& arguments) : start_(std::chrono::steady_clock::now()) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::string("pipe2: ") + strerror(errno));
  pipe_ = ends[0];
  fcntl(pipe_, F_SETFL, O_NONBLOCK);
  std::string self = "/proc/self/exe";
  std::vector<char*> argv = {self.data()};
  std::vector<std::string> owned = arguments;
  for (std::string& argument : owned) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  const int error = posix_spawn(&pid_, self.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error != 0) {
    close(pipe_);
    throw std::runtime_error(std::string("this program could not be started again: ") + strerror(error));
  }
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(pipe_);
}

void Child::drain() {
  char buffer[4096];
  for (ssize_t count; (count = read(pipe_, buffer, sizeof buffer)) > 0;) {
    result_.output.append(buffer, static_cast<std::size_t>(count));
  }
}

bool Child::ended(std::chrono::seconds limit) {
  if (pid_ < 0) return true;
  drain();
  const auto elapsed = std::chrono::steady_clock::now() - start_;
  result_.seconds = std::chrono::duration<double>(elapsed).count();
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    result_.end = WIFSIGNALED(status) ? ChildResult::End::kKilledBySignal : ChildResult::End::kExited;
    result_.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  } else if (elapsed > limit) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status, 0);
    result_.end = ChildResult::End::kTimedOut;
  } else {
    return false;
  }
  drain();
  pid_ = -1;
  return true;
}

}  // namespace flashmask::forward_tests
