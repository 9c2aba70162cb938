#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "runtime/compile/options.h"
#include "runtime/device/shared_library.h"

namespace flashmask::compile {

/// What one compilation gave.
struct NvrtcOutput {
  std::vector<std::byte> cubin;
  std::string ptx;  ///< of the same compilation, without the closing NUL
  std::string log;
};

/// NVRTC, opened at run time. Immutable once opened; compile() may be called from any thread.
class Nvrtc {
 public:
  /// Opens the first library of the search that loads and has every symbol. Throws Error{kNotFound} that lists every
  /// place tried, with what the loader said of it, and the mend.
  static Nvrtc open(const Policy& policy);

  NvrtcVersion version() const { return version_; }
  /// The file that was opened.
  const std::string& path() const { return path_; }
  /// Why it was looked for there.
  const std::string& origin() const { return origin_; }

  /// Compiles one text for a real architecture into cubin and PTX. `entry` only names the kernel in messages.
  /// Throws Error{kCompile} with NVRTC's log.
  NvrtcOutput compile(const std::string& text, const std::string& entry, Target target) const;

 private:
  struct Functions;
  Nvrtc(SharedLibrary library, std::shared_ptr<const Functions> functions);

  SharedLibrary library_;
  std::shared_ptr<const Functions> functions_;
  NvrtcVersion version_;
  std::string path_;
  std::string origin_;
};

/// The toolchain as PTX names it in its first lines: "nvrtc 13.0.88", or "nvrtc 13.0" where the build is not told.
std::string toolchain_name(const std::string& ptx, NvrtcVersion version);

}  // namespace flashmask::compile
