#pragma once

#include <vector>

#include "flashmask/tuning_problem.h"
#include "tools/command/tune_arguments.h"

namespace flashmask::command {

/// The problems of a run for a target: its descriptors times its lengths times its densities, none twice. Throws
/// Error: kInvalidArgument, or kUnsupported where no kernel serves a descriptor.
std::vector<TuningProblem> tune_problems(const TuneRunArguments& arguments, const Target& target);

}  // namespace flashmask::command
