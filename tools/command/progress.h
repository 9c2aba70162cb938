#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "flashmask/runtime.h"

namespace flashmask::command {

/// Shows on a terminal what a command is doing, once it takes longer than two seconds: phases done of all, the present
/// phase and the time. The work itself reports no share, so within a phase only the time moves. Erased when it ends.
/// Prints nothing where standard error is no terminal. Thread-safe.
class Progress {
 public:
  explicit Progress(int phases);
  /// Shows the line that `status` gives instead; it is called by a thread of its own.
  explicit Progress(std::function<std::string()> status);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Begins the next phase, e.g. "running on the emulator".
  void phase(const std::string& name);
  /// Prints a line to standard error without disturbing the bar.
  void print(const std::string& line);
  /// A sink for Policy::log.
  void log(LogLevel level, const std::string& message);

 private:
  void draw_until_done();
  void draw();
  void erase();

  void start();

  const int phases_;
  const std::function<std::string()> status_;
  const bool on_terminal_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;
  bool drawn_ = false;
  int phase_index_ = 0;
  std::string phase_name_;
  std::thread thread_;
};

/// "[#########---------]" of `width` characters, with `done` of `all` filled.
std::string progress_bar(int done, int all, int width);

}  // namespace flashmask::command
