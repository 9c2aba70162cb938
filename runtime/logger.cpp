#include "runtime/logger.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <mutex>
#include <utility>

namespace flashmask {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::off;
}

LogLevel level_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return LogLevel::kDebug;
    case spdlog::level::info:
      return LogLevel::kInfo;
    case spdlog::level::warn:
      return LogLevel::kWarning;
    default:
      return LogLevel::kError;
  }
}

/// Hands messages to the policy's callback; base_sink holds its mutex meanwhile.
class CallbackSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  using Callback = std::function<void(LogLevel, const std::string&)>;
  explicit CallbackSink(Callback callback) : callback_(std::move(callback)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    callback_(level_of(message.level), std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

 private:
  Callback callback_;
};

}  // namespace

Logger::Logger(const Policy& policy) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (policy.log)
    sink = std::make_shared<CallbackSink>(policy.log);
  else
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  // Not registered with spdlog: the application may use spdlog for itself.
  logger_ = std::make_shared<spdlog::logger>("flashmask", std::move(sink));
  logger_->set_level(policy.log_level ? level_of(*policy.log_level) : spdlog::level::off);
  logger_->set_pattern("%n: %l: %v");
  logger_->set_error_handler([](const std::string&) {});
}

void Logger::write(LogLevel level, const std::string& message) noexcept {
  try {
    logger_->log(level_of(level), spdlog::string_view_t(message));
  } catch (...) {
    // A callback that throws loses its message, not the kernel.
  }
}

}  // namespace flashmask
