#include "tools/command/inspect_options.h"

#include <fmt/format.h>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

constexpr const char* kHelp =
    "Shows one kernel of this library, which --form, --target and, unless it is one of masks, --dtype and --head-dim\n"
    "name; or FILE: PTX by --cfg, a cubin by --sections. Needs no GPU; --source and FILE need no compiler either.\n\n"
    "Example:\n  flashmask inspect --dtype bf16 --head-dim 192,128 --form causal --target sm_80 --source\n"
    "  flashmask inspect --dtype bf16 --head-dim 64 --form causal --target sm_80 --cfg -o forward.svg\n"
    "  flashmask inspect vector_add.ptx --cfg -o vector_add.svg";

constexpr const char* kSelection[] = {"--pass",   "--deterministic",    "--dtype", "--head-dim", "--form",
                                      "--target", "--causal-alignment", "--tile",  "--config"};

void refuse(const std::string& why, const std::string& hint) {
  throw Error(ErrorCode::kInvalidArgument, why, hint);
}

GraphFormat format_of(const std::filesystem::path& output) {
  const std::string extension = output.extension().string();
  if (extension == ".svg") return GraphFormat::kSvg;
  if (extension != ".dot" && extension != ".gv") {
    refuse(fmt::format("--output {}: the name has to end in .svg, .dot or .gv", output.string()),
           "the ending says whether a picture or text for Graphviz is written");
  }
  return GraphFormat::kDot;
}

}  // namespace

InspectOptions::InspectOptions(CLI::App& app) : app_(app) {
  app.add_option("FILE", texts_.file, "PTX (--cfg) or a cubin (--sections), instead of a kernel of this library")
      ->type_name("");
  app.add_flag("--source", flags_.source, "the CUDA C++ text; plain nvcc compiles it");
  app.add_flag("--ptx", flags_.ptx, "the PTX");
  app.add_flag("--resources", flags_.resources,
               "registers, spills, shared memory, occupancy (what is shown without a choice)");
  app.add_flag("--sass-order", flags_.sass_order,
               "in what order ptxas left products, waits and softmax of the loops that multiply (sm_90)");
  app.add_flag(
      "--cfg", flags_.cfg,
      "the control-flow graph of the PTX, with its loops and what each block consists of, as text for Graphviz");
  app.add_flag("--sections", flags_.sections,
               "sections, symbols and notes of the cubin; where LLVM was built in, whether it reads the same");
  app.add_option("-o,--output", texts_.output, "with --cfg: a file to write, as a picture or as text for Graphviz")
      ->type_name("OUT.svg|.dot");
  app.add_option("--entry", texts_.entry, "with --cfg: another entry of the PTX")->type_name("NAME");
  app.add_flag("--json", flags_.json, "print one JSON object; then any of these together");
  app.footer(kHelp);
}

InspectArguments InspectOptions::arguments() const {
  InspectArguments arguments = flags_;
  arguments.file = texts_.file;
  arguments.output = texts_.output;
  arguments.entry = texts_.entry;
  const int shown = flags_.source + flags_.ptx + flags_.resources + flags_.sass_order + flags_.cfg + flags_.sections;
  if (shown > 1 && !flags_.json) {
    refuse("--source, --ptx, --resources, --sass-order, --cfg and --sections: one of them at a time is allowed",
           "add --json to get them together");
  }
  if (!flags_.cfg && app_.count("--output") > 0) {
    refuse(fmt::format("--output {}: only --cfg writes a file", texts_.output),
           "add --cfg, or use the standard output");
  }
  if (!flags_.cfg && app_.count("--entry") > 0) {
    refuse(fmt::format("--entry {}: only --cfg looks at one entry of several", texts_.entry), "add --cfg");
  }
  if (app_.count("--output") > 0) arguments.format = format_of(arguments.output);
  if (app_.count("FILE") == 0) {
    for (const char* needed : {"--form", "--target"}) {
      if (app_.count(needed) == 0) refuse(fmt::format("{} is required", needed), "see flashmask inspect --help");
    }
    if (shown == 0) arguments.resources = true;
    return arguments;
  }
  if (texts_.file.empty()) refuse("FILE: the name of a file is needed", "leave it out for a kernel of this library");
  if (shown != 1 || (!flags_.cfg && !flags_.sections)) {
    refuse(fmt::format("{}: of a file --cfg shows the PTX, or --sections the cubin", texts_.file),
           "choose one of them");
  }
  for (const char* option : kSelection) {
    if (app_.count(option) == 0) continue;
    refuse(fmt::format("{}: it selects a kernel of this library, and the file {} is shown", option, texts_.file),
           fmt::format("leave {} or the file out", option));
  }
  return arguments;
}

}  // namespace flashmask::command
