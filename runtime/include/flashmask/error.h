#pragma once

#include <stdexcept>
#include <string>

#include "flashmask/export.h"

namespace flashmask {

/// Why something failed; the C ABI's status codes and the command's exit codes follow from it.
enum class ErrorCode {
  kInvalidArgument,  ///< a value breaks a rule of its own (wrong rank, negative length, unaligned rows, …)
  kUnsupported,      ///< legal, but no kernel of this library serves it
  kNotFound,         ///< a file, library, device or symbol is not there
  kCompile,          ///< NVRTC refused the text; the log is in the message
  kDevice,           ///< the driver or the emulator reported an error
  kStorage,          ///< a file could not be read or written
  kNotCached,        ///< a kernel would have to be compiled, and the policy forbids it
  kInternal,         ///< a bug of this library
  kCapturing,        ///< something would have to be compiled, loaded or allocated during a capture
};

/// Every error of the public interface: what was asked and what is allowed (`what()`), and what to do (`hint()`).
class FLASHMASK_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string hint = "")
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}
  ErrorCode code() const { return code_; }
  /// What the user can do about it; may be empty.
  const std::string& hint() const { return hint_; }

 private:
  ErrorCode code_;
  std::string hint_;
};

}  // namespace flashmask
