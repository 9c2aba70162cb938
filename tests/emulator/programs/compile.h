#pragma once

#include <map>
#include <string>

#include "tests/emulator/programs/program.h"

namespace flashmask::emulator::programs {

/// The PTX of a theme: every program of it, right and faulty.
struct Module {
  std::string ptx;
  std::map<std::string, std::string> entries;  ///< TestProgram::instance() to the name of the entry
};

/// Where CUDA's headers are looked for: the folder that this build was configured with, else that of CUDA_HOME.
std::string cuda_include_folder();

/// Compiles a theme with NVRTC, which is opened by the first call. The text begins with a comment for each entry, and
/// module_of() reads it back. Throws flashmask::Error with the compiler's log.
std::string compile(const Theme& theme);
/// The same, from `folder` if an earlier call left it there for these sources and this compiler.
std::string compile_once(const Theme& theme, const std::string& folder);

Module module_of(std::string text);

}  // namespace flashmask::emulator::programs
