#include "runtime/c_abi/boundary.h"

namespace flashmask::c_abi {
namespace {

/// The last failure of this thread.
struct Failure {
  std::string message;
  std::string hint;
};
thread_local Failure last_failure;

}  // namespace

fm_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return FM_INVALID_ARGUMENT;
    case ErrorCode::kUnsupported:
      return FM_UNSUPPORTED;
    case ErrorCode::kNotFound:
      return FM_NOT_FOUND;
    case ErrorCode::kCompile:
      return FM_COMPILE;
    case ErrorCode::kDevice:
      return FM_DEVICE;
    case ErrorCode::kStorage:
      return FM_STORAGE;
    case ErrorCode::kNotCached:
      return FM_NOT_CACHED;
    case ErrorCode::kInternal:
      return FM_INTERNAL;
    case ErrorCode::kCapturing:
      return FM_CAPTURING;
  }
  return FM_INTERNAL;
}

fm_status remember(fm_status status, const char* message, const char* hint) noexcept {
  try {
    last_failure.message = message;
    last_failure.hint = hint;
  } catch (...) {
    // Without memory for the words, the status alone has to do.
    last_failure.message.clear();
    last_failure.hint.clear();
  }
  return status;
}

}  // namespace flashmask::c_abi

extern "C" {

const char* fm_version(void) {
  return flashmask::version();
}
const char* fm_last_error(void) {
  return flashmask::c_abi::last_failure.message.c_str();
}
const char* fm_last_hint(void) {
  return flashmask::c_abi::last_failure.hint.c_str();
}

const char* fm_status_name(int status) {
  switch (status) {
    case FM_OK:
      return "ok";
    case FM_INVALID_ARGUMENT:
      return "invalid argument";
    case FM_UNSUPPORTED:
      return "unsupported";
    case FM_NOT_FOUND:
      return "not found";
    case FM_COMPILE:
      return "compile error";
    case FM_DEVICE:
      return "device error";
    case FM_STORAGE:
      return "storage error";
    case FM_NOT_CACHED:
      return "not cached";
    case FM_INTERNAL:
      return "internal error";
    case FM_OUT_OF_MEMORY:
      return "out of memory";
    case FM_CAPTURING:
      return "capturing";
  }
  return "unknown status";
}

}  // extern "C"
