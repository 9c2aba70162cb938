#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "flashmask/sass_order.h"

namespace flashmask::command {

/// The loops of a kernel for a person: what each multiplies, its waits, and the order in lines of 100 characters or so.
std::string sass_text(const SassOrder& order);
/// The same, with every run of operations and its address.
nlohmann::ordered_json sass_json(const SassOrder& order);

}  // namespace flashmask::command
