#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/command/arguments.h"
#include "tools/command/selection_options.h"

namespace flashmask::command {

/// The words of `flashmask compile`: a selection, or a manifest. Lives as long as the App that they are parsed by.
class CompileOptions {
 public:
  explicit CompileOptions(CLI::App& app);
  CompileOptions(const CompileOptions&) = delete;
  CompileOptions& operator=(const CompileOptions&) = delete;

  bool parsed() const { return app_->parsed(); }
  /// CompileArguments, or CompileManifestArguments where a manifest was named. Throws Error{kInvalidArgument} as
  /// parse_arguments().
  Arguments arguments() const;

 private:
  CompileArguments one_kernel() const;
  CompileManifestArguments manifest() const;

  CLI::App* app_ = nullptr;
  SelectionTexts selection_;
  OptionalText manifest_, jobs_;
  std::vector<std::string> targets_;
  bool json_ = false;
};

}  // namespace flashmask::command
