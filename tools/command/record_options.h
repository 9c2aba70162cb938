#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/command/arguments.h"

namespace flashmask::command {

/// The words of `flashmask record -o OUT -- COMMAND …`. Lives as long as the App that they are parsed by.
class RecordOptions {
 public:
  /// Takes what stands behind the first "--" out of `words`, if they are of this command: it is not ours to parse.
  RecordOptions(CLI::App& app, std::vector<std::string>& words);
  RecordOptions(const RecordOptions&) = delete;
  RecordOptions& operator=(const RecordOptions&) = delete;

  bool parsed() const { return app_->parsed(); }
  /// Throws Error{kInvalidArgument} as parse_arguments().
  RecordArguments arguments() const;

 private:
  CLI::App* app_ = nullptr;
  std::string output_;
  std::vector<std::string> command_;
};

}  // namespace flashmask::command
