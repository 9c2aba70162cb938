#pragma once

#include <string>
#include <vector>

#include "tools/command/arguments.h"
#include "tools/command/exit_code.h"

namespace flashmask::command {

// Each command does its work and prints its result on standard output. They throw Error and return what main() returns.

ExitCode run(const RunArguments& arguments);
ExitCode compile(const CompileArguments& arguments);
ExitCode compile_manifest(const CompileManifestArguments& arguments);
ExitCode record(const RecordArguments& arguments);
ExitCode cache(const CacheArguments& arguments);
ExitCode inspect(const InspectArguments& arguments);
ExitCode explain(const ExplainArguments& arguments);
ExitCode mask_show(const MaskShowArguments& arguments);
ExitCode mask_build(const MaskBuildArguments& arguments);
ExitCode mask_list(const MaskListArguments& arguments);
ExitCode emulate(const EmulateArguments& arguments);
ExitCode tune(const TuneArguments& arguments);
ExitCode doctor(const DoctorArguments& arguments);

/// Parses the words behind the command's name, runs the command and reports any error on standard error.
ExitCode run_command(const std::vector<std::string>& words);

/// Reports an error on standard error; an empty hint is left out.
void print_error(const std::string& message, const std::string& hint);

/// Writes to standard output, to its end. Throws Error{kStorage} when it cannot (a full disk, a closed pipe).
void print_result(const std::string& text);

}  // namespace flashmask::command
