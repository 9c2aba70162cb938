#include "tools/command/record_options.h"

#include <algorithm>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

constexpr const char* kName = "record";
constexpr const char* kHelp =
    "flashmask record -o OUT -- COMMAND [ARGUMENT...]\n\n"
    "Runs a command and writes the kernels that it requests as a manifest, for flashmask compile. A manifest that is\n"
    "there keeps its kernels. Returns what the command returns; 127 where there is no such command, 126 where it "
    "cannot\n"
    "be run.\n\n"
    "Example:\n  flashmask record -o kernels.toml -- ./engine --steps 10";

}  // namespace

RecordOptions::RecordOptions(CLI::App& app, std::vector<std::string>& words) {
  app_ = app.add_subcommand(kName, "run a command and write the kernels that it requests");
  app_->add_option("-o,--output", output_, "manifest to write")->required()->type_name("OUT");
  app_->footer(kHelp);
  if (words.empty() || words.front() != kName) return;
  const auto mark = std::find(words.begin(), words.end(), "--");
  if (mark == words.end()) return;
  command_.assign(mark + 1, words.end());
  words.erase(mark, words.end());
}

RecordArguments RecordOptions::arguments() const {
  if (command_.empty() || command_.front().empty())
    throw Error(ErrorCode::kInvalidArgument, "record: -- and a command to run are needed",
                "flashmask record -o kernels.toml -- ./engine");
  return {.output = output_, .command = command_};
}

}  // namespace flashmask::command
