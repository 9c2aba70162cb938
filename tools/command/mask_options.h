#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "tools/command/arguments.h"

namespace flashmask::command {

/// The words of `flashmask mask show`, `mask build` and `mask list`. Lives as long as the App that they are parsed by.
class MaskOptions {
 public:
  explicit MaskOptions(CLI::App& app);
  MaskOptions(const MaskOptions&) = delete;
  MaskOptions& operator=(const MaskOptions&) = delete;

  /// Whether one of the three was asked for.
  bool parsed() const { return mask_->parsed(); }
  /// What was asked for. Throws Error{kInvalidArgument} as parse_arguments().
  Arguments arguments() const;

 private:
  /// The texts of options as given.
  struct Texts {
    std::optional<std::string> seqlen_q, seqlen_k, alignment, tile, batch_entry, head, batch, heads;
    std::string picture, output;
  };

  void add_kind(CLI::App& app);
  void add_show(CLI::App& app);
  void add_build(CLI::App& app);
  MaskSource finished_source() const;

  CLI::App* mask_ = nullptr;
  CLI::App* show_app_ = nullptr;
  CLI::App* build_app_ = nullptr;
  CLI::App* list_app_ = nullptr;
  Texts texts_;
  MaskSource source_;
  bool json_ = false;
};

}  // namespace flashmask::command
