#pragma once

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "flashmask/kernel_cache.h"
#include "tools/command/progress.h"

namespace flashmask::command {

/// What a step throws after an interrupt: the work is undone on its way out.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

/// Shows how far something is that calls a CacheProgress: "[#####-----] 12/36 exporting".
class CacheSteps {
 public:
  explicit CacheSteps(std::string what);
  CacheSteps(const CacheSteps&) = delete;
  CacheSteps& operator=(const CacheSteps&) = delete;

  /// Must not be called after the end of the steps. Throws Interrupted at the first step after a signal that an
  /// UninterruptedSection holds back.
  CacheProgress callback();

 private:
  std::string what_;
  std::atomic<std::size_t> done_{0};
  std::atomic<std::size_t> all_{0};
  Progress progress_;
};

}  // namespace flashmask::command
