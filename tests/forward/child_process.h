#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace flashmask::forward_tests {

/// How a child process ended.
struct ChildResult {
  enum class End { kExited, kKilledBySignal, kTimedOut };
  End end = End::kExited;
  int code = 0;        ///< exit status or signal number
  std::string output;  ///< what it wrote to standard output
  double seconds = 0;
};

/// This program, started again with other arguments: a kernel that hangs or breaks its GPU context costs one child.
/// Standard error is shared. Not thread-safe.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();
  /// Reads what there is to read, without waiting; true once the child has ended or was ended for its time.
  bool ended(std::chrono::seconds limit);
  const ChildResult& result() const { return result_; }

 private:
  void drain();

  int pid_ = -1;
  int pipe_ = -1;
  std::chrono::steady_clock::time_point start_;
  ChildResult result_;
};

}  // namespace flashmask::forward_tests
