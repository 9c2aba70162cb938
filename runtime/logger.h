#pragma once

#include <memory>
#include <string>

#include "flashmask/runtime.h"

namespace spdlog {
class logger;
}

namespace flashmask {

/// Where a runtime's messages go: to the policy's callback, else to standard error, from the policy's level on.
/// Thread-safe; the callback is called one call at a time. Never throws: a message is no reason for a run to fail.
class Logger {
 public:
  explicit Logger(const Policy& policy);

  void debug(const std::string& message) { write(LogLevel::kDebug, message); }
  void info(const std::string& message) { write(LogLevel::kInfo, message); }
  void warning(const std::string& message) { write(LogLevel::kWarning, message); }
  void error(const std::string& message) { write(LogLevel::kError, message); }

 private:
  void write(LogLevel level, const std::string& message) noexcept;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace flashmask
