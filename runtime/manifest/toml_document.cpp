#include "runtime/manifest/toml_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

// The one file that includes it, and without what is not needed: it takes seconds to compile.
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace flashmask {
namespace {

constexpr std::size_t kShownCharacters = 60;
constexpr std::size_t kShownElements = 8;

Place place_of(const toml::source_region& region) {
  constexpr toml::source_index kMost = std::numeric_limits<int>::max();
  return {static_cast<int>(std::clamp<toml::source_index>(region.begin.line, 1, kMost)),
          static_cast<int>(std::clamp<toml::source_index>(region.begin.column, 1, kMost))};
}

TomlTable table_of(const toml::table& table);

TomlValue value_of(const toml::node& node) {
  TomlValue value{place_of(node.source()), TomlOther{"a value"}};
  node.visit([&value](const auto& typed) {
    using Node = std::remove_cvref_t<decltype(typed)>;
    if constexpr (toml::is_table<Node>) {
      value.content = table_of(typed);
    } else if constexpr (toml::is_array<Node>) {
      TomlArray elements;
      elements.reserve(typed.size());
      for (const toml::node& element : typed) elements.push_back(value_of(element));
      value.content = std::move(elements);
    } else if constexpr (toml::is_string<Node> || toml::is_integer<Node> || toml::is_boolean<Node>) {
      value.content = typed.get();
    } else if constexpr (toml::is_floating_point<Node>) {
      value.content = TomlOther{fmt::format("the float {}", typed.get())};
    } else {
      value.content = TomlOther{"a date or time"};
    }
  });
  return value;
}

TomlTable table_of(const toml::table& table) {
  TomlTable keys;
  keys.reserve(table.size());
  for (const auto& [key, node] : table)
    keys.push_back({place_of(key.source()), std::string(key.str()), value_of(node)});
  return keys;
}

}  // namespace

TomlTable parse_toml(std::string_view text) try {
  return table_of(toml::parse(text));
} catch (const toml::parse_error& error) {
  throw TextError{place_of(error.source()),
                  fmt::format("this is no TOML (its strings stand in quotes): {}", error.description())};
}

std::string shown(std::string_view text) {
  std::string quoted = "\"";
  std::size_t characters = 0;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    const bool starts_a_character = (byte & 0xc0) != 0x80;
    if (starts_a_character && ++characters > kShownCharacters) return quoted + "…\"";
    if (byte < 0x20 || byte == 0x7f)
      quoted += fmt::format("\\u{:04x}", byte);
    else if (character == '"' || character == '\\')
      quoted += {'\\', character};
    else
      quoted += character;
  }
  return quoted + "\"";
}

std::string shown(const TomlValue& value) {
  struct Shower {
    std::string operator()(const std::string& text) const { return shown(text); }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(const TomlArray& elements) const {
      std::string text = "[";
      for (std::size_t i = 0; i < elements.size() && i < kShownElements; ++i) {
        const bool is_array = std::holds_alternative<TomlArray>(elements[i].content);
        text += fmt::format("{}{}", i == 0 ? "" : ", ", is_array && depth > 0 ? "[…]" : shown_at(elements[i]));
      }
      return text + (elements.size() > kShownElements ? ", …]" : "]");
    }
    std::string operator()(const TomlTable&) const { return "a table"; }
    std::string operator()(const TomlOther& other) const { return other.text; }
    std::string shown_at(const TomlValue& element) const { return std::visit(Shower{depth + 1}, element.content); }
    int depth = 0;
  };
  return std::visit(Shower{}, value.content);
}

}  // namespace flashmask
