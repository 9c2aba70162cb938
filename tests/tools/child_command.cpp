#include "tests/tools/child_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>

extern char** environ;

namespace flashmask::test {
namespace {

constexpr auto kTerminalPatience = std::chrono::seconds(60);

std::vector<std::string> environment_with(std::map<std::string, std::string> wanted) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || text.starts_with("FLASHMASK_")) continue;
    wanted.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  std::vector<std::string> result;
  for (const auto& [name, value] : wanted) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

ChildCommand::ChildCommand(const TemporaryDirectory& directory, const std::vector<std::string>& words,
                           const std::map<std::string, std::string>& environment, StandardError error) {
  std::map<std::string, std::string> wanted = environment;
  wanted.emplace("FLASHMASK_CACHE_DIR", (directory / "cache").string());
  std::string error_path = streams_ / "err";
  if (error == StandardError::kTerminal) {
    wanted["TERM"] = "xterm";
    terminal_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal_ < 0 || ::grantpt(terminal_) != 0 || ::unlockpt(terminal_) != 0) {
      throw std::runtime_error("no pseudo-terminal");
    }
    error_path = ::ptsname(terminal_);
  }
  std::vector<std::string> arguments = {FLASHMASK_COMMAND};
  arguments.insert(arguments.end(), words.begin(), words.end());
  std::vector<std::string> variables = environment_with(wanted);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, (streams_ / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, error_path.c_str(), O_WRONLY | O_CREAT | O_NOCTTY, 0600);
  const int failed = ::posix_spawn(&process_, FLASHMASK_COMMAND, &actions, nullptr, pointers(arguments).data(),
                                   pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error(std::string(FLASHMASK_COMMAND ": ") + std::strerror(failed));
}

ChildCommand::~ChildCommand() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  if (terminal_ >= 0) ::close(terminal_);
}

void ChildCommand::send(int signal) const {
  ::kill(process_, signal);
}

bool ChildCommand::has_ended() const {
  siginfo_t ended{};
  return ::waitid(P_PID, static_cast<id_t>(process_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0;
}

bool ChildCommand::wait_for_terminal(const std::string& text) {
  const auto end = std::chrono::steady_clock::now() + kTerminalPatience;
  while (terminal_text_.find(text) == std::string::npos) {
    pollfd ready{terminal_, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
    char buffer[4096];
    const ssize_t got = ::read(terminal_, buffer, sizeof buffer);
    if (got <= 0) return false;
    terminal_text_.append(buffer, static_cast<std::size_t>(got));
  }
  return true;
}

Outcome ChildCommand::wait() {
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(streams_ / "out"),
          terminal_ < 0 ? read_file(streams_ / "err") : terminal_text_};
}

Outcome run_command_line(const TemporaryDirectory& directory, const std::vector<std::string>& words,
                         const std::map<std::string, std::string>& environment) {
  return ChildCommand(directory, words, environment).wait();
}

}  // namespace flashmask::test
