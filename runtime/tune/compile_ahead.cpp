#include "runtime/tune/compile_ahead.h"

#include <algorithm>
#include <utility>

#include "runtime/compile/ptxas_log.h"

namespace flashmask::tune {

CompileAhead::CompileAhead(Runtime& runtime, const KernelDescriptor& descriptor, std::vector<TileConfig> configs,
                           int jobs)
    : runtime_(runtime), descriptor_(descriptor), configs_(std::move(configs)), slots_(configs_.size()) {
  const std::size_t threads = std::min(configs_.size(), static_cast<std::size_t>(std::max(1, jobs)));
  for (std::size_t n = 0; n < threads; ++n) threads_.emplace_back([this] { compile_until_done(); });
}

CompileAhead::~CompileAhead() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

CompiledTrial CompileAhead::take(std::size_t n) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return slots_.at(n).done; });
  if (slots_[n].failure) std::rethrow_exception(slots_[n].failure);
  return std::move(slots_[n].trial);
}

void CompileAhead::compile_until_done() {
  while (true) {
    std::size_t n = 0;
    {
      std::lock_guard lock(mutex_);
      if (stopped_ || next_ == configs_.size()) return;
      n = next_++;
    }
    CompiledTrial trial;
    std::exception_ptr failure;
    try {
      trial = compile(configs_[n]);
    } catch (...) {
      failure = std::current_exception();
    }
    {
      std::lock_guard lock(mutex_);
      slots_[n] = {true, std::move(trial), failure};
    }
    done_.notify_all();
  }
}

CompiledTrial CompileAhead::compile(const TileConfig& config) {
  CompiledTrial trial;
  try {
    const CompiledKernel kernel = runtime_.compile(descriptor_, {.hint = {}, .config = config});
    runtime_.forget_images(kernel.digest);
    trial.compiled = true;
    trial.resources = kernel.resources;
    trial.remarks = compile::parse_ptxas_log(kernel.log, kernel.entry).warnings;
    trial.seconds = kernel.compile_seconds;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCompile) throw;
    trial.failure = error.what();
  }
  return trial;
}

}  // namespace flashmask::tune
