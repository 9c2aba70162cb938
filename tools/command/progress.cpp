#include "tools/command/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace flashmask::command {
namespace {

constexpr auto kSilence = std::chrono::seconds(2);
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr int kBarWidth = 20;

bool stderr_is_terminal() {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

constexpr std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "note";
}

/// As much of a line as stays one line on the terminal.
std::string in_one_line(std::string line) {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && line.size() >= size.ws_col)
    line.resize(size.ws_col - 1u);
  return line;
}

}  // namespace

Progress::Progress(int phases) : phases_(phases), on_terminal_(stderr_is_terminal()) {
  start();
}

Progress::Progress(std::function<std::string()> status)
    : phases_(0), status_(std::move(status)), on_terminal_(stderr_is_terminal()) {
  start();
}

void Progress::start() {
  if (on_terminal_) thread_ = std::thread([this] { draw_until_done(); });
}

Progress::~Progress() {
  if (!on_terminal_) return;
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  done_changed_.notify_one();
  thread_.join();
}

void Progress::phase(const std::string& name) {
  const std::lock_guard lock(mutex_);
  ++phase_index_;
  phase_name_ = name;
}

void Progress::print(const std::string& line) {
  const std::lock_guard lock(mutex_);
  erase();
  fmt::print(stderr, "{}\n", line);
}

void Progress::log(LogLevel level, const std::string& message) {
  print(fmt::format("flashmask: {}: {}", name_of(level), message));
}

void Progress::draw_until_done() {
  std::unique_lock lock(mutex_);
  if (done_changed_.wait_for(lock, kSilence, [this] { return done_; })) return;
  do draw();
  while (!done_changed_.wait_for(lock, kRedraw, [this] { return done_; }));
  erase();
}

void Progress::draw() {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  const std::string line = status_
                               ? status_()
                               : fmt::format("{} {}/{} {} {:.1f} s", progress_bar(phase_index_ - 1, phases_, kBarWidth),
                                             phase_index_, phases_, phase_name_, elapsed.count());
  fmt::print(stderr, "\r\x1b[K{}", in_one_line(line));
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::erase() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

std::string progress_bar(int done, int all, int width) {
  const int filled = all > 0 ? std::clamp(done * width / all, 0, width) : 0;
  return fmt::format("[{:#<{}}{:-<{}}]", "", filled, "", width - filled);
}

}  // namespace flashmask::command
