#include "tools/command/commands.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <variant>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

struct Dispatch {
  ExitCode operator()(const RunArguments& arguments) const { return run(arguments); }
  ExitCode operator()(const CompileArguments& arguments) const { return compile(arguments); }
  ExitCode operator()(const CompileManifestArguments& arguments) const { return compile_manifest(arguments); }
  ExitCode operator()(const RecordArguments& arguments) const { return record(arguments); }
  ExitCode operator()(const CacheArguments& arguments) const { return cache(arguments); }
  ExitCode operator()(const InspectArguments& arguments) const { return inspect(arguments); }
  ExitCode operator()(const ExplainArguments& arguments) const { return explain(arguments); }
  ExitCode operator()(const MaskShowArguments& arguments) const { return mask_show(arguments); }
  ExitCode operator()(const MaskBuildArguments& arguments) const { return mask_build(arguments); }
  ExitCode operator()(const MaskListArguments& arguments) const { return mask_list(arguments); }
  ExitCode operator()(const EmulateArguments& arguments) const { return emulate(arguments); }
  ExitCode operator()(const DoctorArguments& arguments) const { return doctor(arguments); }
  ExitCode operator()(const TuneArguments& arguments) const { return tune(arguments); }
  ExitCode operator()(const ShownText& shown) const {
    print_result(shown.text);
    return kExitOk;
  }
};

}  // namespace

void print_error(const std::string& message, const std::string& hint) {
  fmt::print(stderr, "flashmask: error: {}\n", message);
  if (!hint.empty()) fmt::print(stderr, "hint: {}\n", hint);
}

void print_result(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorCode::kStorage, fmt::format("standard output cannot be written: {}", std::strerror(errno)));
  }
}

ExitCode run_command(const std::vector<std::string>& words) {
  try {
    return std::visit(Dispatch{}, parse_arguments(words));
  } catch (const Error& error) {
    print_error(error.what(), error.hint());
    return exit_code_of(error.code());
  } catch (const std::bad_alloc&) {
    print_error("not enough memory for the tensors of this problem", "give fewer or shorter ones");
  } catch (const std::exception& error) {
    print_error(error.what(), "");
  }
  return kExitFailed;
}

}  // namespace flashmask::command
