#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flashmask/tuner.h"
#include "tools/command/exit_code.h"

namespace flashmask::command {

/// What became of a problem.
struct TunedProblem {
  TuningProblem problem;
  std::optional<TuningResult> result;  ///< nothing: not begun, or it failed
  std::string failure;                 ///< why; empty: it did not fail
  std::string hint;
};

/// What a run of flashmask tune did.
struct TuneRun {
  std::string database;
  std::string device;
  TuningBasis basis = TuningBasis::kMeasured;
  double seconds = 0;
  std::vector<TunedProblem> problems;
};

std::string report_text(const TuneRun& run);
std::string report_json(const TuneRun& run);
/// Ok if every problem has an answer; failed if none has, else partly done.
ExitCode exit_code_of(const TuneRun& run);

/// The space of a problem's descriptor, and what is left of it at each step.
std::string space_text(const TuningProblem& problem, TuningEffort effort);
/// The same of all problems, one JSON object.
std::string space_json(const std::vector<TuningProblem>& problems, TuningEffort effort);

}  // namespace flashmask::command
