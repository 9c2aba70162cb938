#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "runtime/compile/nvrtc.h"

namespace flashmask::compile {

/// A compiled kernel: both images of one compilation, and what the compiler said.
struct Compilation {
  std::vector<std::byte> cubin;
  std::string ptx;
  std::string log;
  std::vector<std::string> warnings;
  std::string toolchain;      ///< "nvrtc 13.0.88"
  KernelResources resources;  ///< dynamic_shared_bytes is left to the caller
  double seconds = 0;
};

/// Compiles kernel texts. NVRTC is opened by the first call, and never if there is none; a failure to open it is tried
/// anew by the next call. Thread-safe.
class Compiler {
 public:
  explicit Compiler(const Policy& policy) : policy_(policy) {}

  /// Throws Error{kNotFound} without NVRTC, Error{kCompile} with the log.
  Compilation compile(const std::string& text, const std::string& entry, Target target);
  /// Opens NVRTC if that has not happened yet.
  std::shared_ptr<const Nvrtc> nvrtc();

 private:
  Policy policy_;
  std::mutex mutex_;
  std::shared_ptr<const Nvrtc> nvrtc_;
};

}  // namespace flashmask::compile
