#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/command/arguments.h"

namespace flashmask::command {

/// What flashmask inspect shows, and of which file; the options that select a kernel are not among them.
class InspectOptions {
 public:
  explicit InspectOptions(CLI::App& app);
  InspectOptions(const InspectOptions&) = delete;
  InspectOptions& operator=(const InspectOptions&) = delete;

  /// What was asked for; of a kernel that is no file the descriptor is still missing. Throws Error{kInvalidArgument}.
  InspectArguments arguments() const;

 private:
  /// The texts of options as given.
  struct Texts {
    std::string file, output, entry;
  };

  CLI::App& app_;
  Texts texts_;
  InspectArguments flags_;
};

}  // namespace flashmask::command
