#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "tools/command/arguments.h"

namespace flashmask::command {

using OptionalText = std::optional<std::string>;

/// What its parser makes of a text that was given.
template <typename Parse>
auto optional_value(const OptionalText& text, Parse parse) -> std::optional<decltype(parse(*text))> {
  if (!text) return std::nullopt;
  return parse(*text);
}

/// The options that say which kernel, as given.
struct SelectionTexts {
  OptionalText pass, form, target, dtype, head_dim, alignment, tile, config;
  bool deterministic = false;
};

inline constexpr const char* kConfigHelp =
    "the whole configuration instead, as explain and compile print it, with commas: 128x64,w4,s2";

/// The options of a selection without its target.
void add_selection(CLI::App& app, SelectionTexts& texts);
/// The option for its one target.
void add_target(CLI::App& app, SelectionTexts& texts);

// What they say. Both throw Error{kInvalidArgument} as parse_arguments().
KernelDescriptor descriptor_of(const SelectionTexts& texts);
std::optional<TileWish> tile_wish(const OptionalText& tile, const OptionalText& config);

}  // namespace flashmask::command
