#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/command/cache_arguments.h"
#include "tools/command/selection_options.h"

namespace flashmask::command {

/// The words of `flashmask cache …`. Lives as long as the App that they are parsed by.
class CacheOptions {
 public:
  explicit CacheOptions(CLI::App& app);
  CacheOptions(const CacheOptions&) = delete;
  CacheOptions& operator=(const CacheOptions&) = delete;

  /// Whether one of them was asked for.
  bool parsed() const { return cache_->parsed(); }
  /// What was asked for. Throws Error{kInvalidArgument} as parse_arguments().
  CacheArguments arguments() const;

 private:
  CLI::App* add(const char* name, const char* description, const char* footer);

  CLI::App* cache_ = nullptr;
  CLI::App* list_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* stats_ = nullptr;
  CLI::App* verify_ = nullptr;
  CLI::App* collect_ = nullptr;
  CLI::App* clear_ = nullptr;
  CLI::App* extract_ = nullptr;
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
  std::string pack_, digest_, section_, output_;
  OptionalText size_;
  std::vector<std::string> targets_;
  bool rebuild_ = false, remove_ = false, yes_ = false, drop_ptx_ = false, json_ = false;
};

}  // namespace flashmask::command
