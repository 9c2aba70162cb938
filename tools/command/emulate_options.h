#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "tools/command/emulate_arguments.h"

namespace flashmask::command {

/// The words of `flashmask emulate`. Lives as long as the App that they are parsed by.
class EmulateOptions {
 public:
  explicit EmulateOptions(CLI::App& app);
  EmulateOptions(const EmulateOptions&) = delete;
  EmulateOptions& operator=(const EmulateOptions&) = delete;

  bool parsed() const { return app_->parsed(); }
  /// What was asked for. Throws Error{kInvalidArgument} as parse_arguments().
  EmulateArguments arguments() const;

 private:
  /// The texts of options as given.
  struct Texts {
    std::string kernel, launch, output;
    std::optional<std::string> entry, seed, repeat, schedule, explore, trace, trace_lines;
  };

  void refuse_contradictions() const;

  CLI::App* app_ = nullptr;
  Texts texts_;
  bool all_schedules_ = false;
  bool no_races_ = false;
  bool pedantic_ = false;
  bool statistics_ = false;
  bool json_ = false;
};

}  // namespace flashmask::command
