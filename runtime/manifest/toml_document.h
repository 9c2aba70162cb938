#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace flashmask {

/// A position in a text, both from 1; a column counts characters.
struct Place {
  int line = 1;
  int column = 1;
};

/// A TOML value as far as a manifest has a use for it, with where it stands.
struct TomlValue;
struct TomlKey;
using TomlArray = std::vector<TomlValue>;
using TomlTable = std::vector<TomlKey>;
/// A value of no use to a manifest, as messages name it: "the float 64", "a date or time".
struct TomlOther {
  std::string text;
};

struct TomlValue {
  Place place;
  std::variant<std::string, std::int64_t, bool, TomlArray, TomlTable, TomlOther> content;
};

struct TomlKey {
  Place place;
  std::string name;
  TomlValue value;
};

/// What is wrong with a text, and where.
struct TextError {
  Place place;
  std::string what;
};

/// The keys of a document. The text may be hostile. Throws TextError where it is no TOML.
TomlTable parse_toml(std::string_view text);

/// A value as it is quoted in a message: in one line, and cut where it is long.
std::string shown(const TomlValue& value);
/// Text as a quoted string of TOML in one line, cut where it is long.
std::string shown(std::string_view text);

}  // namespace flashmask
