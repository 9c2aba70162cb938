#pragma once

#include <mutex>
#include <set>
#include <string>

#include "flashmask/manifest.h"
#include "runtime/logger.h"
#include "runtime/manifest/request_order.h"

namespace flashmask {

/// Appends requests to a manifest, each once: what the file lists already, or this recorder wrote before, is not
/// written again. Any number of processes may append to one file: it is created whole, with its head, and every table
/// is one write at the file's end; a table that a killed process left unfinished costs that table alone
/// (without_torn_blocks()). The file is opened for each table, so that it may be moved or rewritten meanwhile.
/// Thread-safe. The first failure is one warning and the end of the recording; nothing is thrown.
class RequestRecorder {
 public:
  /// An empty path: nothing is recorded.
  RequestRecorder(std::string path, Logger& logger) : path_(std::move(path)), logger_(logger) {}

  void note(const KernelRequest& request) noexcept;

 private:
  void append(const KernelRequest& request);
  void read_what_is_there();

  const std::string path_;
  Logger& logger_;
  std::mutex mutex_;
  bool is_open_ = false;
  bool has_failed_ = false;
  std::set<KernelRequest, RequestOrder> seen_;
};

}  // namespace flashmask
