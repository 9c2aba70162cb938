#include "tools/command/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "flashmask/error.h"
#include "flashmask/runtime.h"
#include "tools/command/cache_options.h"
#include "tools/command/compile_options.h"
#include "tools/command/emulate_options.h"
#include "tools/command/inspect_options.h"
#include "tools/command/mask_options.h"
#include "tools/command/record_options.h"
#include "tools/command/selection_options.h"
#include "tools/command/tune_options.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 ok, 1 failed, 2 wrong usage or malformed input, 3 partly done, 4 unsupported, 5 not cached\n"
    "although compiling is forbidden (FLASHMASK_NO_JIT=1), 6 an emulated kernel broke a rule, 130 interrupted.\n"
    "Results go to standard output, all else to standard error.";

constexpr const char* kRunHelp =
    "Reads q [B,Sq,Hq,D], k [B,Sk,Hk,D], v [B,Sk,Hk,Dv] (all F16 or all BF16) and, if it is there,\n"
    "startend_row_indices [B,Hm,Sk,n] (I32): with --causal n = 1 (LTS) or 2 (LTS, LTE), without n = 2 (LTS, UTE) or\n"
    "4 (LTS, LTE, UTS, UTE); Hm is 1, Hk or Hq. Writes out [B,Sq,Hq,Dv] in the input's type and lse [B,Hq,Sq] (F32).\n"
    "With --backward reads the gradient of out, dout (shape and type of out), and, if it is there, that of lse, dlse\n"
    "(F32, shape of lse), and writes dq, dk and dv too, like q, k and v.\n"
    "The output appears whole or not at all; when --verify fails it is written too, and the exit code is 1.\n\n"
    "Example:\n  flashmask run packed.safetensors -o attention.safetensors --causal --verify\n"
    "  flashmask run step.safetensors -o gradients.safetensors --causal --backward --deterministic";

constexpr const char* kExplainHelp =
    "Says which kernel a request gets, why with these tiles and not with others, and whether it is in the cache. "
    "Compiles\n"
    "nothing; needs no GPU and no compiler. What tuning has answered is looked up for the GPU that is there, where it "
    "is of\n"
    "the target, and for the problem that the last four options tell.\n\n"
    "Example:\n  flashmask explain --dtype bf16 --head-dim 128 --form c1 --target sm_86";

constexpr const char* kDoctorHelp =
    "Looks for what the library needs: driver, GPU, NVRTC, cache directory; says how to mend what is missing.\n\n"
    "Example:\n  flashmask doctor";

/// The texts of options as given.
struct RunTexts {
  std::string input, output;
  OptionalText alignment, window, scale, device, target, tile, config, seed, schedule;
};

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

struct ExplainTexts {
  OptionalText device, seqlen_q, seqlen_k, heads, density;
};

void add_explain(CLI::App& app, ExplainTexts& texts) {
  app.add_option("--device", texts.device,
                 "whose tuned answers: auto (default: the GPU if there is one), cuda or emulator")
      ->type_name("D");
  app.add_option("--seqlen-q", texts.seqlen_q, "of the problem to come: queries")->type_name("N");
  app.add_option("--seqlen-k", texts.seqlen_k, "keys")->type_name("N");
  app.add_option("--heads", texts.heads, "query heads, times the batch")->type_name("N");
  app.add_option("--density", texts.density, "share of the scores that its mask leaves, above 0 up to 1")
      ->type_name("X");
}

void finish_explain(const ExplainTexts& texts, ExplainArguments& explain) {
  constexpr int kMost = 1 << 29;
  const auto number = [](const char* option, const OptionalText& text) {
    return text ? parse_integer(option, *text, 1, kMost) : 0;
  };
  explain.device = optional_value(texts.device, parse_device).value_or(DeviceChoice::kAuto);
  explain.hint.seqlen_q = number("--seqlen-q", texts.seqlen_q);
  explain.hint.seqlen_k = number("--seqlen-k", texts.seqlen_k);
  explain.hint.heads = number("--heads", texts.heads);
  explain.hint.density = optional_value(texts.density, parse_density).value_or(0);
}

}  // namespace

Arguments parse_arguments(const std::vector<std::string>& all_words) {
  std::vector<std::string> words = all_words;
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
  CompileOptions compile(app);
  RecordOptions record(app, words);

  CLI::App* inspect_app =
      app.add_subcommand("inspect", "show one kernel: its text, PTX, control flow, resources, order, sections");
  add_selection(*inspect_app, selection);
  add_target(*inspect_app, selection);
  InspectOptions inspect(*inspect_app);

  ExplainArguments explain;
  ExplainTexts explain_texts;
  CLI::App* explain_app = app.add_subcommand("explain", "say which kernel a request gets, and why");
  add_selection(*explain_app, selection);
  add_target(*explain_app, selection);
  add_explain(*explain_app, explain_texts);
  explain_app->add_flag("--json", explain.json, "print one JSON object");
  explain_app->footer(kExplainHelp);
  CacheOptions cache(app);
  MaskOptions mask(app);
  EmulateOptions emulate(app);
  TuneOptions tune(app);

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
  if (compile.parsed()) return compile.arguments();
  if (record.parsed()) return record.arguments();
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
    finish_explain(explain_texts, explain);
    return explain;
  }
  if (cache.parsed()) return cache.arguments();
  if (mask.parsed()) return mask.arguments();
  if (emulate.parsed()) return emulate.arguments();
  if (tune.parsed()) return tune.arguments();
  return doctor;
}

}  // namespace flashmask::command
