#pragma once

#include <string>

#include "tools/command/exit_code.h"
#include "tools/command/tune_arguments.h"

namespace flashmask::command {

/// The database that --db names, absolute; where it names none, the one that requests look answers up in. Throws
/// Error{kInvalidArgument} if there is none (FLASHMASK_TUNING=off, no home, an export).
std::string database_path(const std::string& given);

// flashmask tune report, diff, export and import.
ExitCode tune_report(const TuneReportArguments& arguments);
ExitCode tune_diff(const TuneDiffArguments& arguments);
ExitCode tune_export(const TuneExportArguments& arguments);
ExitCode tune_import(const TuneImportArguments& arguments);

}  // namespace flashmask::command
