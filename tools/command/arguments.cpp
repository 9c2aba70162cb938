#include "tools/command/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "flashmask/error.h"
#include "flashmask/runtime.h"
#include "tools/command/emulate_options.h"
#include "tools/command/inspect_options.h"
#include "tools/command/mask_options.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 ok, 1 failed, 2 wrong usage or malformed input, 4 unsupported, 5 not cached although compiling is\n"
    "forbidden (FLASHMASK_NO_JIT=1), 6 an emulated kernel broke a rule, 130 interrupted. Results go to standard\n"
    "output, all else to standard error.";

constexpr const char* kRunHelp =
    "Reads q [B,Sq,Hq,D], k [B,Sk,Hk,D], v [B,Sk,Hk,Dv] (all F16 or all BF16) and, if it is there,\n"
    "startend_row_indices [B,Hm,Sk,n] (I32): with --causal n = 1 (LTS) or 2 (LTS, LTE), without n = 2 (LTS, UTE) or\n"
    "4 (LTS, LTE, UTS, UTE); Hm is 1, Hk or Hq. Writes out [B,Sq,Hq,Dv] in the input's type and lse [B,Hq,Sq] (F32).\n"
    "With --backward reads the gradient of out, dout (shape and type of out), and, if it is there, that of lse, dlse\n"
    "(F32, shape of lse), and writes dq, dk and dv too, like q, k and v.\n"
    "The output appears whole or not at all; when --verify fails it is written too, and the exit code is 1.\n\n"
    "Example:\n  flashmask run packed.safetensors -o attention.safetensors --causal --verify\n"
    "  flashmask run step.safetensors -o gradients.safetensors --causal --backward --deterministic";

constexpr const char* kCompileHelp =
    "Compiles one kernel into the cache, or finds it there. Needs no GPU.\n\n"
    "Example:\n  flashmask compile --dtype bf16 --head-dim 128 --form c1 --target sm_90a --json";

constexpr const char* kExplainHelp =
    "Says which kernel a request gets, why with these tiles and not with others, and whether it is in the cache. "
    "Compiles\n"
    "nothing; needs no GPU and no compiler.\n\n"
    "Example:\n  flashmask explain --dtype bf16 --head-dim 128 --form c1 --target sm_86";

constexpr const char* kDoctorHelp =
    "Looks for what the library needs: driver, GPU, NVRTC, cache directory; says how to mend what is missing.\n\n"
    "Example:\n  flashmask doctor";

using OptionalText = std::optional<std::string>;

/// The texts of options as given.
struct RunTexts {
  std::string input, output;
  OptionalText alignment, window, scale, device, target, tile, config, seed, schedule;
};

struct SelectionTexts {
  std::string pass = "forward", form, target;
  OptionalText dtype, head_dim, alignment, tile, config;
  bool deterministic = false;
};

template <typename Parse>
auto optional_value(const OptionalText& text, Parse parse) -> std::optional<decltype(parse(*text))> {
  if (!text) return std::nullopt;
  return parse(*text);
}

constexpr const char* kConfigHelp =
    "the whole configuration instead, as explain and compile print it, with commas: 128x64,w4,s2";

void add_run(CLI::App& app, RunTexts& texts, RunArguments& run) {
  app.add_option("IN", texts.input, "safetensors file to read")->required()->type_name("");
  app.add_option("-o,--output", texts.output, "safetensors file to write")->required()->type_name("OUT");
  app.add_flag("--causal", run.causal, "mask the keys behind each query");
  app.add_option("--causal-alignment", texts.alignment,
                 "where the diagonal lies when Sq != Sk: bottom-right (default) or top-left")
      ->type_name("A");
  app.add_option("--window", texts.window,
                 "L,R: keys to the left and right that a query sees; -1: all. With --causal the right side is 0")
      ->type_name("L,R");
  app.add_option("--scale", texts.scale, "softmax scale (default 1/sqrt(D))")->type_name("X");
  app.add_option("--device", texts.device, "auto (default: the GPU if there is one), cuda or emulator")->type_name("D");
  app.add_option("--target", texts.target, "architecture of the code (default: the GPU's own, sm_80 on the emulator)")
      ->type_name("T");
  app.add_option("--tile", texts.tile,
                 "Q,K: query rows and key columns of a tile (default by heuristic); with --backward: of the backward's")
      ->type_name("Q,K");
  app.add_option("--config", texts.config, kConfigHelp)->type_name("C");
  app.add_flag("--backward", run.backward, "run the backward behind the forward: the gradients of q, k and v");
  app.add_flag("--deterministic", run.deterministic,
               "with --backward: a kernel that gives the same bits every time, which is slower");
  app.add_option("--seed", texts.seed, "the emulator's interleaving of warps and copies (default 0)")->type_name("N");
  app.add_option("--schedule", texts.schedule,
                 "how the emulator's warps take turns: random (default), in-order, reversed, starved, late-landings")
      ->type_name("S");
  app.add_flag("--no-races", run.no_races, "the emulator checks no order of memory accesses, which is faster");
  app.add_flag("--verify", run.verify, "compare with fp64 attention on the CPU and print the figures");
  app.add_flag("--no-skip", run.no_skip,
               "make no plan of the mask and visit its empty tiles too; the result is the same, bit for bit (of a "
               "backward: if it is deterministic)");
  app.add_flag("--json", run.json, "print one JSON object");
  app.footer(kRunHelp);
}

void add_selection(CLI::App& app, SelectionTexts& texts, bool required = true) {
  app.add_option("--pass", texts.pass,
                 "forward (default), backward, mask-plan or mask-build; the two of masks have no dtype, head dims and "
                 "tile")
      ->type_name("P");
  app.add_flag("--deterministic", texts.deterministic,
               "with --pass backward: a kernel that gives the same bits every time, which is slower");
  app.add_option("--dtype", texts.dtype, "fp16 or bf16")->type_name("T");
  app.add_option("--head-dim", texts.head_dim, "D or D,Dv: of queries and keys, and of values")->type_name("D[,Dv]");
  app.add_option("--form", texts.form, "mask: none, causal, window, c1, c2, f2 or f4")
      ->required(required)
      ->type_name("F");
  app.add_option("--target", texts.target, "architecture: " + known_targets())->required(required)->type_name("T");
  app.add_option("--causal-alignment", texts.alignment, "bottom-right (default) or top-left")->type_name("A");
  app.add_option("--tile", texts.tile, "Q,K: query rows and key columns of a tile (default by heuristic)")
      ->type_name("Q,K");
  app.add_option("--config", texts.config, kConfigHelp)->type_name("C");
}

std::optional<TileWish> tile_wish(const OptionalText& tile, const OptionalText& config) {
  if (tile && config)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--tile {} --config {}: the configuration names the tile too", *tile, *config),
                "leave one of them out");
  if (config) return parse_config(*config);
  if (tile) return parse_tile(*tile);
  return std::nullopt;
}

void finish_run(const RunTexts& texts, RunArguments& run) {
  run.input = texts.input;
  run.output = texts.output;
  run.causal_alignment = optional_value(texts.alignment, require_causal_alignment);
  run.window = optional_value(texts.window, parse_window);
  run.scale = optional_value(texts.scale, parse_scale);
  run.device = optional_value(texts.device, parse_device).value_or(DeviceChoice::kAuto);
  run.target = optional_value(texts.target, require_target);
  run.tile = tile_wish(texts.tile, texts.config);
  run.seed = optional_value(texts.seed, parse_seed);
  run.schedule = texts.schedule;
  if (run.deterministic && !run.backward) {
    throw Error(ErrorCode::kInvalidArgument,
                "--deterministic: only the backward has a choice, a forward always repeats its bits",
                "add --backward, or leave --deterministic out");
  }
}

KernelDescriptor descriptor_of(const SelectionTexts& texts) {
  KernelDescriptor descriptor;
  descriptor.pass = require_pass(texts.pass);
  const bool is_mask = !is_attention(descriptor.pass);
  const auto check_given = [&](bool given, const char* option) {
    if (is_mask && given)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: a {} has none", option, to_string(descriptor.pass)),
                  fmt::format("leave {} out", option));
    if (!is_mask && !given) throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is required", option));
  };
  check_given(texts.dtype.has_value(), "--dtype");
  check_given(texts.head_dim.has_value(), "--head-dim");
  if (is_mask) {
    if (texts.tile) check_given(true, "--tile");
    if (texts.config) check_given(true, "--config");
    descriptor.dtype = DataType::kBfloat16;  // which a mask does not know
    descriptor.head_dim_qk = descriptor.head_dim_v = 0;
  } else {
    descriptor.dtype = require_data_type(*texts.dtype);
    parse_head_dims(*texts.head_dim, descriptor);
  }
  if (texts.deterministic && descriptor.pass != Pass::kBackward) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--deterministic: only the backward has a choice, a {} always repeats its bits",
                            to_string(descriptor.pass)),
                "add --pass backward, or leave --deterministic out");
  }
  descriptor.deterministic = texts.deterministic;
  descriptor.mask_form = require_mask_form(texts.form);
  descriptor.target = require_target(texts.target);
  if (texts.alignment) {
    descriptor.causal_alignment = require_causal_alignment(*texts.alignment);
    if (!has_diagonal(descriptor.mask_form)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--causal-alignment {}: the form {} has no diagonal to align", *texts.alignment,
                              to_string(descriptor.mask_form)),
                  "leave --causal-alignment out");
    }
  }
  return descriptor;
}

}  // namespace

Arguments parse_arguments(const std::vector<std::string>& words) {
  CLI::App app("Attention under FlashMask masks, by kernels compiled for the request and kept.", "flashmask");
  app.footer(std::string(kExitCodes) +
             "\n\nExample:\n  flashmask run packed.safetensors -o attention.safetensors --causal");
  app.set_version_flag("--version", fmt::format("flashmask {}", version()));
  app.require_subcommand(1);

  RunTexts run_texts;
  RunArguments run;
  CLI::App* run_app = app.add_subcommand("run", "attention over the tensors of a file");
  add_run(*run_app, run_texts, run);

  SelectionTexts selection;
  CompileArguments compile;
  CLI::App* compile_app = app.add_subcommand("compile", "compile one kernel into the cache");
  add_selection(*compile_app, selection);
  compile_app->add_flag("--json", compile.json, "print one JSON object");
  compile_app->footer(kCompileHelp);

  CLI::App* inspect_app =
      app.add_subcommand("inspect", "show one kernel: its text, PTX, control flow, resources, order, sections");
  add_selection(*inspect_app, selection, false);
  InspectOptions inspect(*inspect_app);

  ExplainArguments explain;
  CLI::App* explain_app = app.add_subcommand("explain", "say which kernel a request gets, and why");
  add_selection(*explain_app, selection);
  explain_app->add_flag("--json", explain.json, "print one JSON object");
  explain_app->footer(kExplainHelp);
  MaskOptions mask(app);
  EmulateOptions emulate(app);

  DoctorArguments doctor;
  CLI::App* doctor_app = app.add_subcommand("doctor", "say what was found where");
  doctor_app->add_flag("--json", doctor.json, "print one JSON object");
  doctor_app->footer(kDoctorHelp);

  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants them
    app.parse(std::move(reversed));
  } catch (const CLI::CallForVersion& request) {
    return ShownText{std::string(request.what()) + "\n"};
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    return ShownText{chosen.empty() ? app.help() : chosen.front()->help("flashmask")};
  } catch (const CLI::ParseError& error) {
    std::string chosen = "flashmask";
    for (auto names = app.get_subcommands(); !names.empty(); names = names.front()->get_subcommands()) {
      chosen += " " + names.front()->get_name();
    }
    throw Error(ErrorCode::kInvalidArgument, error.what(), "see " + chosen + " --help");
  }

  if (run_app->parsed()) {
    finish_run(run_texts, run);
    return run;
  }
  if (compile_app->parsed()) {
    compile.descriptor = descriptor_of(selection);
    compile.tile = tile_wish(selection.tile, selection.config);
    return compile;
  }
  if (inspect_app->parsed()) {
    InspectArguments arguments = inspect.arguments();
    if (!arguments.file.empty()) return arguments;
    arguments.descriptor = descriptor_of(selection);
    arguments.tile = tile_wish(selection.tile, selection.config);
    return arguments;
  }
  if (explain_app->parsed()) {
    explain.descriptor = descriptor_of(selection);
    explain.tile = tile_wish(selection.tile, selection.config);
    return explain;
  }
  if (mask.parsed()) return mask.arguments();
  if (emulate.parsed()) return emulate.arguments();
  return doctor;
}

}  // namespace flashmask::command
