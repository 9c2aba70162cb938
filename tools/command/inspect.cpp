#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "flashmask/runtime.h"
#include "flashmask/tile_config.h"
#include "tools/command/commands.h"
#include "tools/command/cubin_report.h"
#include "tools/command/file_bytes.h"
#include "tools/command/graph_report.h"
#include "tools/command/kernel_json.h"
#include "tools/command/one_kernel.h"
#include "tools/command/output_path.h"
#include "tools/command/sass_report.h"
#include "tools/command/tile_choice.h"
#include "tools/draw/graph_dot.h"
#include "tools/draw/graph_svg.h"
#include "tools/draw/graph_text.h"

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
  return text + fmt::format("toolchain      {}\ndigest         {}\n", kernel.toolchain, kernel.digest);
}

nlohmann::ordered_json resources_json(const CompiledKernel& kernel, const ResourceEstimate& estimate) {
  nlohmann::ordered_json json = json_of(kernel.resources);
  json["estimate"] = json_of(estimate);
  return json;
}

constexpr std::size_t kMostFileBytes = std::size_t{256} << 20;

/// What is shown: a kernel of this library, or what a file holds.
struct Subject {
  std::string ptx;
  std::string cubin;
  std::string entry;
};

const std::string& ptx_of(const CompiledKernel& kernel) {
  if (kernel.ptx.empty())
    throw Error(ErrorCode::kNotFound,
                fmt::format("\"{}\" comes from a pack or a cache that holds it without PTX (an export with --drop-ptx)",
                            to_string(kernel.descriptor)),
                "Leave FLASHMASK_PACKS and FLASHMASK_CACHE_READONLY out, and name an empty FLASHMASK_CACHE_DIR.");
  return kernel.ptx;
}

Subject subject_of(const CompiledKernel& kernel, const InspectArguments& arguments) {
  return {arguments.cfg ? ptx_of(kernel) : kernel.ptx,
          std::string(reinterpret_cast<const char*>(kernel.cubin.data()), kernel.cubin.size()),
          arguments.entry.empty() ? kernel.entry : arguments.entry};
}

Subject subject_of(const std::filesystem::path& file, const InspectArguments& arguments) {
  std::string bytes = read_file(file, arguments.cfg ? "PTX" : "cubin", kMostFileBytes);
  if (arguments.cfg) return {std::move(bytes), "", arguments.entry};
  return {"", std::move(bytes), ""};
}

std::span<const std::byte> cubin_of(const Subject& subject) {
  return std::as_bytes(std::span(subject.cubin));
}

/// The graph; what --output asks for is written.
PtxGraph draw_graph(const Subject& subject, const InspectArguments& arguments) {
  PtxGraph graph = read_ptx_graph(subject.ptx, subject.entry);
  if (!arguments.output.empty()) {
    save_text(arguments.output,
              arguments.format == GraphFormat::kSvg ? draw::graph_svg(graph) : draw::graph_dot(graph));
  }
  return graph;
}

void print_graph(const Subject& subject, const InspectArguments& arguments) {
  const PtxGraph graph = draw_graph(subject, arguments);
  if (arguments.output.empty()) return print_result(draw::graph_dot(graph));
  print_result(fmt::format("entry     {}, {}\ngraph     {}\nwritten   {}\n", graph.entry, graph.target,
                           draw::summary_text(graph), arguments.output.string()));
}

void print_sections(const Subject& subject) {
  const CubinReport report = report_cubin(cubin_of(subject));
  print_result(cubin_text(report));
  require_agreement(report);
}

nlohmann::ordered_json header_json() {
  return {{"schema", kSchema}, {"command", "inspect"}, {"version", version()}};
}

/// What --json prints, and what may still be wrong with it.
struct Answer {
  nlohmann::ordered_json json;
  std::optional<CubinReport> cubin;
};

/// Adds what is asked for of both, a kernel and a file.
void add_subject(Answer& answer, const Subject& subject, const InspectArguments& arguments) {
  if (arguments.cfg) answer.json["cfg"] = graph_json(draw_graph(subject, arguments));
  if (!arguments.sections) return;
  answer.cubin = report_cubin(cubin_of(subject));
  answer.json["cubin"] = cubin_json(*answer.cubin);
}

void print_answer(const Answer& answer) {
  print_result(answer.json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  if (answer.cubin) require_agreement(*answer.cubin);
}

Answer answer_of_kernel(const InspectArguments& arguments) {
  Answer answer{header_json(), std::nullopt};
  nlohmann::ordered_json& json = answer.json;
  json["descriptor"] = json_of(arguments.descriptor);
  if (arguments.source) {
    RequestOptions options;
    options.config = choose_tile(arguments.descriptor, arguments.tile);
    json["source"] = Runtime::source(arguments.descriptor, options);
  }
  if (!arguments.ptx && !arguments.resources && !arguments.sass_order && !arguments.cfg && !arguments.sections) {
    return answer;
  }
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
  add_subject(answer, subject_of(kernel, arguments), arguments);
  return answer;
}

void inspect_file(const InspectArguments& arguments) {
  const Subject subject = subject_of(arguments.file, arguments);
  if (arguments.json) {
    Answer answer{header_json(), std::nullopt};
    answer.json["file"] = arguments.file.string();
    add_subject(answer, subject, arguments);
    print_answer(answer);
  } else if (arguments.cfg) {
    print_graph(subject, arguments);
  } else {
    print_sections(subject);
  }
}

void inspect_kernel(const InspectArguments& arguments) {
  require_supported(arguments.descriptor);
  if (arguments.json) return print_answer(answer_of_kernel(arguments));
  if (arguments.source) {
    RequestOptions options;
    options.config = choose_tile(arguments.descriptor, arguments.tile);
    return print_result(Runtime::source(arguments.descriptor, options));
  }
  const CompiledKernel kernel = make_one_kernel(arguments.descriptor, arguments.tile).kernel;
  if (arguments.ptx) {
    print_result(ptx_of(kernel));
  } else if (arguments.sass_order) {
    print_result(sass_text(read_sass_order(kernel.cubin, kernel.entry)));
  } else if (arguments.cfg) {
    print_graph(subject_of(kernel, arguments), arguments);
  } else if (arguments.sections) {
    print_sections(subject_of(kernel, arguments));
  } else {
    print_result(resources_text(kernel, estimate_resources(kernel.descriptor, kernel.config)));
  }
}

}  // namespace

ExitCode inspect(const InspectArguments& arguments) {
  if (!arguments.output.empty()) require_writable(arguments.output);
  if (arguments.file.empty()) {
    inspect_kernel(arguments);
  } else {
    inspect_file(arguments);
  }
  return kExitOk;
}

}  // namespace flashmask::command
