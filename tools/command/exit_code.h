#pragma once

#include "flashmask/error.h"

namespace flashmask::command {

/// What the command tells its caller.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,        ///< wrong options or malformed input
  kExitPartly = 3,       ///< some of what was asked for is done
  kExitUnsupported = 4,  ///< legal, but no kernel serves it
  kExitNotCached = 5,    ///< the policy forbids to compile
  kExitFault = 6,        ///< a kernel that `emulate` ran broke a rule of the emulator
  kExitInterrupted = 130,
};

constexpr ExitCode exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return kExitUsage;
    case ErrorCode::kUnsupported:
      return kExitUnsupported;
    case ErrorCode::kNotCached:
      return kExitNotCached;
    case ErrorCode::kNotFound:
    case ErrorCode::kCompile:
    case ErrorCode::kDevice:
    case ErrorCode::kStorage:
    case ErrorCode::kInternal:
    case ErrorCode::kCapturing:
      break;
  }
  return kExitFailed;
}

}  // namespace flashmask::command
