#pragma once

#include <string>

#include "runtime/tune/sqlite.h"

namespace flashmask::tune {

/// TuningDatabase::open(). Where a damaged file went that lay there is appended to `set_aside`.
Connection open_for_writing(const std::string& path, std::string& set_aside);

/// TuningDatabase::open_read_only(). A file without content, as of a process that is about to fill it, reads as a
/// database without answers. The schema is read, too, which SQLite leaves to the first query otherwise.
Connection open_for_reading(const std::string& path);

/// Renames the open file and its journal, so that a new one can be made in its place: whole, to a name that is free,
/// while no other process uses it. Returns the new name, or "" where another process has done it meanwhile.
/// No statement of the connection may be left; it is of no use afterwards.
std::string set_file_aside(Connection& connection);

}  // namespace flashmask::tune
