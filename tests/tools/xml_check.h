#pragma once

#include <string>

namespace flashmask::test {

/// Whether every element of it is closed, in order, and nothing stands outside of its one root.
bool is_well_formed(const std::string& xml);

}  // namespace flashmask::test
