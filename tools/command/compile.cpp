#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"
#include "tools/command/one_kernel.h"

namespace flashmask::command {
namespace {

std::string report_text(const CompiledKernel& kernel) {
  const KernelResources& resources = kernel.resources;
  std::string text = fmt::format("kernel    {}, tiles {}\n", to_string(kernel.descriptor), to_string(kernel.config));
  if (kernel.origin == KernelOrigin::kCompiled) {
    text += fmt::format("compiled  in {:.3f} s by {}\n", kernel.compile_seconds, kernel.toolchain);
  } else {
    text += fmt::format("found     in {}, compiled by {}\n",
                        kernel.origin == KernelOrigin::kPack ? "a pack" : "the cache", kernel.toolchain);
  }
  text += fmt::format("digest    {}\n", kernel.digest);
  return text + fmt::format("needs     {} registers, {} bytes spilled, {} bytes of shared memory\n",
                            resources.registers, resources.spill_store_bytes + resources.spill_load_bytes,
                            resources.static_shared_bytes + resources.dynamic_shared_bytes);
}

std::string report_json(const CompiledKernel& kernel, const RuntimeCounters& counters) {
  const nlohmann::ordered_json json = {{"schema", kSchema},
                                       {"command", "compile"},
                                       {"version", version()},
                                       {"compiled", kernel.origin == KernelOrigin::kCompiled},
                                       {"stored", counters.stores > 0},
                                       {"origin", to_string(kernel.origin)},
                                       {"digest", kernel.digest},
                                       {"descriptor", json_of(kernel.descriptor)},
                                       {"config", json_of(kernel.config)},
                                       {"resources", json_of(kernel.resources)},
                                       {"toolchain", kernel.toolchain},
                                       {"compile_seconds", kernel.compile_seconds}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

ExitCode compile(const CompileArguments& arguments) {
  const OneKernel made = make_one_kernel(arguments.descriptor, arguments.tile);
  print_result(arguments.json ? report_json(made.kernel, made.counters) : report_text(made.kernel));
  return kExitOk;
}

}  // namespace flashmask::command
