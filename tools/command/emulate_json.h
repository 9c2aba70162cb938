#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask::command {

/// Parses the JSON of a launch spec. Throws Error{kInvalidArgument} with line and column; a key that an object has
/// twice is an error too.
nlohmann::json parse_spec_json(std::string_view text);

/// The candidate that `word` is most likely a slip of, if any is near.
std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> candidates);

/// A value of a launch spec together with where it stands, "parameters[2].shape", so that every refusal names it.
/// Borrows the JSON. What it throws is Error{kInvalidArgument}.
class SpecValue {
 public:
  SpecValue(const nlohmann::json& json, std::string where) : json_(&json), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  bool is_string() const { return json_->is_string(); }
  bool is_number() const { return json_->is_number(); }
  bool is_object() const { return json_->is_object(); }

  /// A string that is not empty.
  std::string text() const;
  bool boolean() const;
  std::uint64_t unsigned_integer(std::uint64_t least, std::uint64_t most) const;
  std::int64_t signed_integer(std::int64_t least, std::int64_t most) const;
  /// A number, or one of the strings "nan", "inf" and "-inf", which JSON has no numbers for.
  double real() const;
  /// The values of an array of `least` to `most` of them.
  std::vector<SpecValue> items(std::size_t least, std::size_t most) const;

  /// Refuses what is not an object, and a key that is not among these, with the nearest that is.
  void allow_keys(std::span<const std::string> keys) const;
  std::vector<std::string> keys() const;
  std::optional<SpecValue> find(const std::string& key) const;
  SpecValue require(const std::string& key) const;

  /// "launch spec: WHERE = VALUE: NEEDED is needed".
  [[noreturn]] void refuse(std::string_view needed) const;
  /// "launch spec: WHERE: PROBLEM".
  [[noreturn]] void fail(std::string_view problem, const std::string& hint = "") const;

 private:
  const nlohmann::json* json_;
  std::string where_;
};

}  // namespace flashmask::command
