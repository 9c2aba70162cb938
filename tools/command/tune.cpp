#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include "flashmask/error.h"
#include "flashmask/tuner.h"
#include "tools/command/commands.h"
#include "tools/command/interrupt.h"
#include "tools/command/progress.h"
#include "tools/command/tune_files.h"
#include "tools/command/tune_outcome.h"
#include "tools/command/tune_problems.h"

namespace flashmask::command {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Target kEmulatedTarget{80, false};

std::shared_ptr<Device> open_tuned_device(const TuneRunArguments& arguments) {
  const bool may_be_gpu = arguments.device != TuneDevice::kEmulator;
  if (may_be_gpu) {
    try {
      std::shared_ptr<Device> device = open_cuda_device();
      const Target own = device->properties().target;
      if (arguments.target && !(*arguments.target == own))
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("--target {}: {} is tuned for its own target {}", to_string(*arguments.target),
                                device->properties().name, to_string(own)),
                    "leave --target out, or model another one: --device emulator");
      return device;
    } catch (const Error& error) {
      if (arguments.device == TuneDevice::kCuda || error.code() != ErrorCode::kNotFound) throw;
      fmt::print(stderr, "flashmask: {}\nflashmask: seconds are modelled, of what the emulator counts\n", error.what());
    }
  }
  return open_emulated_device({.target = arguments.target.value_or(kEmulatedTarget)});
}

/// This command again, as a process that times.
std::vector<std::string> worker_command() {
  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed)
    throw Error(ErrorCode::kNotFound, fmt::format("this command's own file is not known: {}", failed.message()));
  return {self.string(), "tune-worker"};
}

/// One line of where the tuning stands.
class Standing {
 public:
  explicit Standing(std::size_t problems) : problems_(problems) {}

  void begin(std::size_t number, const TuningProblem& problem) {
    std::lock_guard lock(mutex_);
    number_ = number;
    name_ = to_string(problem.descriptor);
    progress_ = {};
    begin_ = Clock::now();
  }

  void set(const TuningProgress& progress) {
    std::lock_guard lock(mutex_);
    if (progress.phase != progress_.phase) begin_ = Clock::now();
    progress_ = progress;
  }

  std::string line() {
    std::lock_guard lock(mutex_);
    constexpr int kWidth = 16;
    const bool is_trials = progress_.phase == TuningProgress::Phase::kTrials;
    std::string text = fmt::format(
        "{} {}/{} {} {} {}/{}", progress_bar(static_cast<int>(progress_.done), static_cast<int>(progress_.all), kWidth),
        number_ + 1, problems_, name_, is_trials ? "tile" : "round", progress_.done, progress_.all);
    if (progress_.done > 0) {
      text += fmt::format("; best {} {:.3f}x", to_string(progress_.best),
                          progress_.best_ratio > 0 ? 1 / progress_.best_ratio : 1);
      const double spent = std::chrono::duration<double>(Clock::now() - begin_).count();
      const auto left = static_cast<double>(progress_.all - progress_.done);
      text += fmt::format("; {} {:.0f} s", is_trials ? "left" : "at most",
                          spent / static_cast<double>(progress_.done) * left);
    }
    return text;
  }

 private:
  std::mutex mutex_;
  std::size_t problems_;
  std::size_t number_ = 0;
  std::string name_;
  TuningProgress progress_;
  Clock::time_point begin_ = Clock::now();
};

TuningOptions options_of(const TuneRunArguments& arguments, Standing& standing) {
  TuningOptions options;
  options.effort = arguments.effort;
  options.budget = arguments.budget;
  options.jobs = arguments.jobs;
  options.again = arguments.again;
  options.replay_only = arguments.replay;
  options.worker = worker_command();
  options.stop = [] { return is_interrupted(); };
  options.progress = [&standing](const TuningProgress& progress) { standing.set(progress); };
  return options;
}

/// Where a replay finds nothing, nothing is made either.
TuningDatabase open_database(const TuneRunArguments& arguments) {
  const std::string path = database_path(arguments.database);
  if (arguments.replay) return TuningDatabase::open_read_only(path);
  TuningDatabase database = TuningDatabase::open(path);
  if (!database.set_aside().empty())
    fmt::print(stderr, "flashmask: warning: {} was corrupt; it lies in {} now, and a new one was begun\n", path,
               database.set_aside());
  return database;
}

void tune_all(const std::vector<TuningProblem>& problems, Tuner& tuner, Standing& standing, TuneRun& run) {
  for (std::size_t n = 0; n < problems.size(); ++n) {
    TunedProblem tuned{.problem = problems[n], .result = {}, .failure = {}, .hint = {}};
    if (!is_interrupted()) {
      standing.begin(n, problems[n]);
      try {
        tuned.result = tuner.tune(problems[n]);
      } catch (const Error& error) {
        // A problem that cannot be tuned does not keep the others from it; what the database says ends all.
        if (error.code() == ErrorCode::kStorage) throw;
        tuned.failure = error.what();
        tuned.hint = error.hint();
      }
    }
    run.problems.push_back(std::move(tuned));
  }
}

ExitCode run_tune(const TuneRunArguments& arguments) {
  const std::shared_ptr<Device> device = open_tuned_device(arguments);
  const std::vector<TuningProblem> problems = tune_problems(arguments, device->properties().target);
  if (arguments.dry_run) {
    if (arguments.json) {
      print_result(space_json(problems, arguments.effort));
    } else {
      for (const TuningProblem& problem : problems) print_result(space_text(problem, arguments.effort));
    }
    return kExitOk;
  }
  const UninterruptedSection keeping;
  TuningDatabase database = open_database(arguments);
  const Clock::time_point start = Clock::now();
  TuneRun run;
  run.database = database.path();
  run.device = device->properties().name;
  run.basis = device->properties().kind == DeviceKind::kCuda ? TuningBasis::kMeasured : TuningBasis::kModelled;
  {
    Standing standing(problems.size());
    Progress progress([&standing] { return standing.line(); });
    Policy policy = Policy::from_environment();
    policy.log = [&progress](LogLevel level, const std::string& message) { progress.log(level, message); };
    Runtime runtime(device, std::move(policy));
    Tuner tuner(runtime, database, options_of(arguments, standing));
    tune_all(problems, tuner, standing, run);
  }
  run.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (const TunedProblem& tuned : run.problems)
    if (!tuned.failure.empty()) print_error(tuned.failure, tuned.hint);
  print_result(arguments.json ? report_json(run) : report_text(run));
  return exit_code_of(run);
}

struct Dispatch {
  ExitCode operator()(const TuneRunArguments& arguments) const {
    const ExitCode code = run_tune(arguments);
    if (is_interrupted()) end_by_interrupt();
    return code;
  }
  ExitCode operator()(const TuneReportArguments& arguments) const { return tune_report(arguments); }
  ExitCode operator()(const TuneDiffArguments& arguments) const { return tune_diff(arguments); }
  ExitCode operator()(const TuneExportArguments& arguments) const { return tune_export(arguments); }
  ExitCode operator()(const TuneImportArguments& arguments) const { return tune_import(arguments); }
  ExitCode operator()(const TuneWorkerArguments&) const { return static_cast<ExitCode>(serve_tuner()); }
};

}  // namespace

ExitCode tune(const TuneArguments& arguments) {
  return std::visit(Dispatch{}, arguments);
}

}  // namespace flashmask::command
