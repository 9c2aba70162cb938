#include "tools/command/one_kernel.h"

#include "tools/command/interrupt.h"
#include "tools/command/progress.h"
#include "tools/command/tile_choice.h"

namespace flashmask::command {

OneKernel make_one_kernel(const KernelDescriptor& descriptor, const std::optional<TileWish>& tile) {
  require_supported(descriptor);
  RequestOptions options;
  options.config = choose_tile(descriptor, tile);

  Policy policy = Policy::from_environment();
  Progress progress(1);
  policy.log = [&progress](LogLevel level, const std::string& message) { progress.log(level, message); };
  progress.phase("compiling");
  Runtime runtime(nullptr, policy);
  const UninterruptedSection publishing;
  CompiledKernel kernel = runtime.compile(descriptor, options);
  return {std::move(kernel), runtime.counters()};
}

}  // namespace flashmask::command
