#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/emulator/programs/compile.h"
#include "tests/emulator/programs/program.h"

namespace flashmask::emulator::programs {

/// The first GPU of this machine, for right programs: a faulty one may leave it unusable for the process. Not
/// thread-safe.
class Gpu {
 public:
  /// Throws flashmask::Error where there is no driver or no GPU.
  Gpu();
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const std::string& name() const;
  /// Whether it runs code for "80" or "90a": any later one, or this one exactly.
  bool runs(std::string_view architecture) const;
  /// Runs one entry of a module and returns the output. The driver compiles the module at its first use. Throws
  /// flashmask::Error with the call that failed.
  Words run(const Module& module, const std::string& entry, const TestProgram& program, const Data& data);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flashmask::emulator::programs
