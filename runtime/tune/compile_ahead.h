#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask::tune {

/// What the compiler made of a configuration.
struct CompiledTrial {
  bool compiled = false;
  std::string failure;  ///< what the compiler said, where it refused
  KernelResources resources;
  std::vector<std::string> remarks;  ///< warnings of ptxas
  double seconds = 0;
};

/// Compiles the configurations of a descriptor into the runtime's cache, in their order and by threads of its own, so
/// that a kernel is there when it is to be timed. Ends early with its owner.
class CompileAhead {
 public:
  CompileAhead(Runtime& runtime, const KernelDescriptor& descriptor, std::vector<TileConfig> configs, int jobs);
  ~CompileAhead();
  CompileAhead(const CompileAhead&) = delete;
  CompileAhead& operator=(const CompileAhead&) = delete;

  /// The n-th configuration's result, waited for. What is no fault of the configuration (there is no compiler, or it
  /// may not be used) is thrown as it came.
  CompiledTrial take(std::size_t n);

 private:
  struct Slot {
    bool done = false;
    CompiledTrial trial;
    std::exception_ptr failure;
  };
  void compile_until_done();
  CompiledTrial compile(const TileConfig& config);

  Runtime& runtime_;
  KernelDescriptor descriptor_;
  std::vector<TileConfig> configs_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace flashmask::tune
