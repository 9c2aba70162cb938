#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/manifest.h"
#include "tools/command/commands.h"
#include "tools/command/interrupt.h"
#include "tools/command/output_path.h"
#include "tools/safetensors/atomic_file.h"

namespace flashmask::command {
namespace {

// As shells, env and timeout have it.
constexpr int kExitCannotRun = 126;
constexpr int kExitNoSuchCommand = 127;
constexpr int kExitBySignal = 128;

constexpr std::string_view kVariable = "FLASHMASK_RECORD=";

/// This process's environment with the variable.
std::vector<std::string> environment_with(const std::string& path) {
  std::vector<std::string> variables = {fmt::format("{}{}", kVariable, path)};
  for (char** entry = environ; entry && *entry; ++entry)
    if (!std::string_view(*entry).starts_with(kVariable)) variables.emplace_back(*entry);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// Starts a command with the variable. What posix_spawnp() returns: 0, or why there is no child.
int start_recorded(std::vector<std::string> command, const std::string& path, pid_t& child) {
  std::vector<std::string> variables = environment_with(path);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const sigset_t blocked = signals_blocked_at_start();
  posix_spawnattr_setsigmask(&attributes, &blocked);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int failed = ::posix_spawnp(&child, command.front().c_str(), nullptr, &attributes, pointers(command).data(),
                                    pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  return failed;
}

/// What a child returned in the end, or what a shell would return of one that a signal ended.
int exit_code_of_child(pid_t child, SignalsForChild& signals) {
  siginfo_t ended{};
  // Its number stays its own until it is reaped, so no signal reaches anybody else.
  while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) != 0 && errno == EINTR) continue;
  signals.end();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kExitBySignal + WTERMSIG(status);
}

/// Refuses a file that the command's requests could not be appended to.
void require_manifest(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_empty(path, ignored) || !std::filesystem::exists(path, ignored)) return;
  read_manifest(path);
}

void rewrite(const std::string& path) {
  std::error_code ignored;
  const bool is_there = std::filesystem::exists(path, ignored) && !std::filesystem::is_empty(path, ignored);
  const Manifest manifest = is_there ? read_manifest(path) : Manifest{};
  for (const std::string& warning : manifest.warnings) fmt::print(stderr, "flashmask: warning: {}\n", warning);
  if (manifest.requests.empty())
    fmt::print(stderr, "flashmask: warning: {}: nothing was recorded: the command requested no kernel\n", path);
  const std::string text = to_text(manifest.requests);
  const UninterruptedSection publishing;
  safetensors::AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace

ExitCode record(const RecordArguments& arguments) {
  require_writable(arguments.output);
  const std::string path = std::filesystem::absolute(arguments.output).string();
  require_manifest(path);
  SignalsForChild signals;
  pid_t child = 0;
  if (const int failed = start_recorded(arguments.command, path, child); failed != 0) {
    print_error(fmt::format("{}: {}", arguments.command.front(), std::strerror(failed)), "");
    return static_cast<ExitCode>(failed == ENOENT ? kExitNoSuchCommand : kExitCannotRun);
  }
  signals.started(child);
  const int exit_code = exit_code_of_child(child, signals);
  try {
    rewrite(path);
  } catch (const Error& error) {
    // What the command returned is what its caller asked for; what was recorded is still there as it came.
    print_error(error.what(), error.hint());
    if (exit_code == 0) return exit_code_of(error.code());
  }
  return static_cast<ExitCode>(exit_code);
}

}  // namespace flashmask::command
