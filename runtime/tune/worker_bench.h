#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "runtime/tune/bench.h"
#include "runtime/tune/bench_protocol.h"

namespace flashmask::tune {

struct WorkerLimits {
  std::chrono::milliseconds start{120'000};  ///< until the problem lies on the device
  std::chrono::milliseconds answer{60'000};  ///< of one command
};

/// A bench in a process of its own: what crashes, hangs or breaks the device costs one configuration. The process is
/// started when it is needed, and anew behind one that ended; it ends with this object, or with this process.
class WorkerBench final : public Bench {
 public:
  /// `command` starts a process that serves_bench() on its standard input and output.
  WorkerBench(std::vector<std::string> command, BenchJob job, WorkerLimits limits = {});
  ~WorkerBench() override;
  WorkerBench(const WorkerBench&) = delete;
  WorkerBench& operator=(const WorkerBench&) = delete;

  /// Both throw, beside what Bench says, Error{kDevice} where a fresh process does not get as far as a first command:
  /// no configuration is to blame then.
  void check(const TileConfig& config) override;
  BenchTime time(const TileConfig& config, int samples) override;

 private:
  void start();
  void end();
  BenchTime ask(const BenchCommand& command);
  /// The next line; nothing if the process ended or the limit passed (`hung` tells which).
  std::optional<std::string> read_line(std::chrono::milliseconds limit, bool& hung);
  /// How a process ended that does not answer, with what it printed last.
  std::string last_words();

  std::vector<std::string> command_;
  BenchJob job_;
  WorkerLimits limits_;
  pid_t process_ = -1;
  int to_process_ = -1;
  int from_process_ = -1;
  int printed_ = -1;  ///< a file in memory that takes its standard error
  std::string unread_;
};

}  // namespace flashmask::tune
