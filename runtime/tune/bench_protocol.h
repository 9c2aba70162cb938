#pragma once

#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "flashmask/tuning_problem.h"
#include "runtime/tune/bench.h"

namespace flashmask::tune {

/// What a worker process is to time, and where: the first line that it is sent.
struct BenchJob {
  TuningProblem problem;
  bool emulated = false;
  int ordinal = 0;              ///< of the GPU
  std::string cache_directory;  ///< where the kernels lie; empty: none, it compiles what it needs
};

/// Everything behind it.
struct BenchCommand {
  bool times = false;  ///< else it checks
  TileConfig config;
  int samples = 0;
};

/// A failure of the last command; what of the worker is still usable, is.
struct BenchFault {
  TrialOutcome outcome = TrialOutcome::kCrashed;
  std::string reason;
  bool is_fatal = false;  ///< the worker ends
};
/// Each command is answered by a line: its time (of a check: none), or what went wrong.
using BenchAnswer = std::variant<BenchTime, BenchFault>;

// One line of JSON each, without its end. The readers give nothing for any other text.
std::string to_line(const BenchJob& job);
std::string to_line(const BenchCommand& command);
std::string to_line(const BenchAnswer& answer);
std::optional<BenchJob> parse_bench_job(const std::string& line);
std::optional<BenchCommand> parse_bench_command(const std::string& line);
std::optional<BenchAnswer> parse_bench_answer(const std::string& line);

/// Makes the bench of a job.
using MakeBench = std::unique_ptr<Bench> (*)(const BenchJob& job);

/// Answers commands until `in` ends, a line is none, or a failure is fatal. The exit code of a worker process.
int serve_bench(std::istream& in, std::ostream& out, MakeBench make_bench);

}  // namespace flashmask::tune
