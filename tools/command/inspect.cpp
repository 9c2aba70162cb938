#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"
#include "flashmask/tile_config.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"
#include "tools/command/one_kernel.h"
#include "tools/command/sass_report.h"
#include "tools/command/tile_choice.h"

namespace flashmask::command {
namespace {

constexpr int kThreadsPerWarp = 32;

std::string resources_text(const CompiledKernel& kernel, const ResourceEstimate& estimate) {
  const KernelResources& resources = kernel.resources;
  std::string text =
      fmt::format("kernel         {}, tiles {}\n", to_string(kernel.descriptor), to_string(kernel.config));
  text += fmt::format("entry          {}, {} threads\n", kernel.entry, estimate.warps_per_cta * kThreadsPerWarp);
  text += fmt::format("registers      {} per thread (the model says {})\n", resources.registers,
                      estimate.registers_per_thread);
  text += fmt::format("spills         {} bytes stored, {} bytes loaded; stack {} bytes\n", resources.spill_store_bytes,
                      resources.spill_load_bytes, resources.stack_bytes);
  text += fmt::format("shared memory  {} bytes dynamic, {} static\n", resources.dynamic_shared_bytes,
                      resources.static_shared_bytes);
  text += fmt::format("occupancy      {} CTAs, {} warps per multiprocessor, by the model\n", estimate.ctas_per_sm,
                      estimate.ctas_per_sm * estimate.warps_per_cta);
  return text + fmt::format("toolchain      {}, {:.3f} s\ndigest         {}\n", kernel.toolchain,
                            kernel.compile_seconds, kernel.digest);
}

nlohmann::ordered_json resources_json(const CompiledKernel& kernel, const ResourceEstimate& estimate) {
  nlohmann::ordered_json json = json_of(kernel.resources);
  json["estimate"] = json_of(estimate);
  return json;
}

const std::string& ptx_of(const CompiledKernel& kernel) {
  if (kernel.ptx.empty())
    throw Error(ErrorCode::kNotFound,
                fmt::format("\"{}\" comes from a pack or a cache that holds it without PTX (an export with --drop-ptx)",
                            to_string(kernel.descriptor)),
                "Leave FLASHMASK_PACKS and FLASHMASK_CACHE_READONLY out, and name an empty FLASHMASK_CACHE_DIR.");
  return kernel.ptx;
}

std::string report_json(const InspectArguments& arguments) {
  nlohmann::ordered_json json = {{"schema", kSchema},
                                 {"command", "inspect"},
                                 {"version", version()},
                                 {"descriptor", json_of(arguments.descriptor)}};
  if (arguments.source) {
    RequestOptions options;
    options.config = choose_tile(arguments.descriptor, arguments.tile);
    json["source"] = Runtime::source(arguments.descriptor, options);
  }
  if (arguments.ptx || arguments.resources || arguments.sass_order) {
    const CompiledKernel kernel = make_one_kernel(arguments.descriptor, arguments.tile).kernel;
    json["config"] = json_of(kernel.config);
    json["digest"] = kernel.digest;
    json["entry"] = kernel.entry;
    json["toolchain"] = kernel.toolchain;
    if (arguments.ptx) json["ptx"] = ptx_of(kernel);
    if (arguments.resources) {
      json["resources"] = resources_json(kernel, estimate_resources(kernel.descriptor, kernel.config));
    }
    if (arguments.sass_order) json["sass_order"] = sass_json(read_sass_order(kernel.cubin, kernel.entry));
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

ExitCode inspect(const InspectArguments& arguments) {
  require_supported(arguments.descriptor);
  if (arguments.json) {
    print_result(report_json(arguments));
  } else if (arguments.source) {
    RequestOptions options;
    options.config = choose_tile(arguments.descriptor, arguments.tile);
    print_result(Runtime::source(arguments.descriptor, options));
  } else {
    const CompiledKernel kernel = make_one_kernel(arguments.descriptor, arguments.tile).kernel;
    if (arguments.ptx) {
      print_result(ptx_of(kernel));
    } else if (arguments.sass_order) {
      print_result(sass_text(read_sass_order(kernel.cubin, kernel.entry)));
    } else {
      print_result(resources_text(kernel, estimate_resources(kernel.descriptor, kernel.config)));
    }
  }
  return kExitOk;
}

}  // namespace flashmask::command
