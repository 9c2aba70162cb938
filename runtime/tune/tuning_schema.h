#pragma once

#include <cstdint>

#include "runtime/tune/sqlite.h"

namespace flashmask::tune {

/// In the header of a file that is ours: "FMtu".
inline constexpr std::uint32_t kApplicationId = 0x464d7475;
/// Raised with every change of the tables; a file of a greater one is not read.
inline constexpr std::uint32_t kSchemaVersion = 1;

/// Makes the tables in an empty database, unless another process has made them meanwhile.
void make_schema(Connection& connection);

/// Reads all of a database and compares it with itself. Throws SqliteError, is_damage(), for one that is damaged or
/// lacks tables.
void check_content(Connection& connection);

}  // namespace flashmask::tune
