#include "tools/command/emulate_options.h"

#include <fmt/format.h>

#include <utility>

#include "flashmask/error.h"
#include "tools/command/emulate_help.h"
#include "tools/command/emulate_trace.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr int kMostRepeats = 1'000'000;
constexpr int kMostPreemptions = 100;
constexpr int kMostTraceLines = 1'000'000'000;
constexpr int kDefaultTraceLines = 1000;

emulator::Schedule require_schedule(const std::string& text) {
  if (const auto schedule = emulator::schedule_named(text)) return *schedule;
  std::string names;
  for (const emulator::Schedule each : emulator::all_schedules()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(each));
  }
  throw Error(ErrorCode::kInvalidArgument, fmt::format("--schedule {}: one of {} is needed", text, names));
}

}  // namespace

EmulateOptions::EmulateOptions(CLI::App& app) {
  app_ = app.add_subcommand("emulate", "run any PTX kernel on the emulator, with all its checks");
  app_->add_option("KERNEL", texts_.kernel, "PTX text")->required()->type_name("");
  app_->add_option("--launch", texts_.launch, "a launch spec in JSON, see --spec-help; -: standard input")
      ->required()
      ->type_name("SPEC");
  app_->add_option("-o,--output", texts_.output, "safetensors file to write")->type_name("OUT");
  app_->add_option("--entry", texts_.entry, "the kernel (default: the spec's, else the only one)")->type_name("NAME");
  app_->add_option("--seed", texts_.seed, "the interleaving of warps and the landing of copies (default 0)")
      ->type_name("N");
  app_->add_option("--repeat", texts_.repeat, "runs, each with the next seed (default 1)")->type_name("N");
  app_->add_option("--schedule", texts_.schedule,
                   "how warps take turns: random (default), in-order, reversed, starved or late-landings")
      ->type_name("S");
  app_->add_flag("--all-schedules", all_schedules_, "each of them, --repeat times");
  app_->add_option("--explore", texts_.explore,
                   "every order with at most N preemptions, instead of runs by seed; for small launches")
      ->type_name("N");
  app_->add_flag("--no-races", no_races_, "do not check that conflicting accesses are ordered");
  app_->add_flag("--pedantic", pedantic_, "also note what works today but is not promised");
  app_->add_option("--trace", texts_.trace,
                   "cta=X,Y,Z,warp=W[,lanes=MASK]: print the instructions of a warp, with the lanes that run them")
      ->type_name("T");
  app_->add_option("--trace-lines", texts_.trace_lines, fmt::format("at most so many (default {})", kDefaultTraceLines))
      ->type_name("N");
  app_->add_flag("--stats", statistics_, "count what the first run did");
  app_->add_flag("--json", json_, "print one JSON object, the counts of every run in it");
  app_->add_flag_callback(
          "--spec-help", [] { throw CLI::CallForVersion(kLaunchSpecHelp, 0); }, "show the form of a launch spec")
      ->trigger_on_parse();
  app_->footer(kEmulateHelp);
}

void EmulateOptions::refuse_contradictions() const {
  const bool several = texts_.repeat || all_schedules_;
  const std::pair<bool, const char*> contradictions[] = {
      {all_schedules_ && texts_.schedule, "--all-schedules together with --schedule"},
      {texts_.explore && several, "--explore together with --repeat or --all-schedules"},
      {texts_.explore && texts_.schedule, "--explore together with --schedule"},
      {texts_.explore && statistics_, "--explore together with --stats"},
      {texts_.trace && (several || texts_.explore), "--trace together with --repeat, --all-schedules or --explore"},
      {texts_.trace_lines && !texts_.trace, "--trace-lines without --trace"},
  };
  for (const auto& [present, what] : contradictions) {
    if (present)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{} has no meaning", what), "leave one of them out");
  }
}

EmulateArguments EmulateOptions::arguments() const {
  refuse_contradictions();
  EmulateArguments result;
  result.kernel = texts_.kernel;
  result.launch = texts_.launch;
  result.output = texts_.output;
  result.entry = texts_.entry;
  if (texts_.seed) result.seed = parse_seed(*texts_.seed);
  if (texts_.repeat) {
    result.repeat = static_cast<std::uint64_t>(parse_integer("--repeat", *texts_.repeat, 1, kMostRepeats));
  }
  if (texts_.schedule) result.schedule = require_schedule(*texts_.schedule);
  result.all_schedules = all_schedules_;
  if (texts_.explore) result.explore = parse_integer("--explore", *texts_.explore, 0, kMostPreemptions);
  result.races = !no_races_;
  result.pedantic = pedantic_;
  if (texts_.trace) result.trace = parse_trace(*texts_.trace);
  const int lines =
      texts_.trace_lines ? parse_integer("--trace-lines", *texts_.trace_lines, 1, kMostTraceLines) : kDefaultTraceLines;
  result.trace_lines = static_cast<std::uint64_t>(lines);
  result.statistics = statistics_;
  result.json = json_;
  return result;
}

}  // namespace flashmask::command
