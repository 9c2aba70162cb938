#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/command/selection_options.h"
#include "tools/command/tune_arguments.h"

namespace flashmask::command {

/// The options of flashmask tune and of what stands behind it.
class TuneOptions {
 public:
  explicit TuneOptions(CLI::App& app);
  bool parsed() const { return tune_->parsed() || worker_->parsed(); }
  /// Throws Error{kInvalidArgument} as parse_arguments().
  TuneArguments arguments() const;

 private:
  CLI::App* add(const char* name, const char* description, const char* footer);
  void add_run_options();
  TuneRunArguments run() const;

  CLI::App *tune_, *report_, *diff_, *export_, *import_, *worker_;
  std::string database_, manifest_, mask_, output_, input_, svg_folder_, gpu_, a_, b_;
  std::vector<std::string> passes_, dtypes_, head_dims_, forms_, seqlens_, densities_, parameters_;
  OptionalText alignment_, device_, target_, seqlen_q_, seqlen_k_, heads_, batch_, effort_, budget_, jobs_;
  bool deterministic_ = false;
  bool resume_ = false;
  bool again_ = false;
  bool replay_ = false;
  bool dry_run_ = false;
  bool json_ = false;
};

}  // namespace flashmask::command
