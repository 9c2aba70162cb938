#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask {

/// A variable that the library reads. The environment is read in environment.cpp and nowhere else.
struct EnvironmentVariable {
  std::string_view name;
  std::string_view allowed;  ///< values, as messages name them
};

/// Every variable of the library's own, in the order of docs/environment.md.
std::span<const EnvironmentVariable> own_variables();

/// The value of a variable; an empty one counts as not set, as is the custom for directories and switches.
std::optional<std::string> environment_value(std::string_view name);

/// One FLASHMASK_ variable of this process.
struct SetVariable {
  std::string name;
  std::string value;
  bool known = false;  ///< false: nothing reads it, probably a slip of the pen
};
std::vector<SetVariable> set_variables();

}  // namespace flashmask
