#include "tools/command/tune_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "flashmask/error.h"
#include "flashmask/mask.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr int kMostJobs = 1024;
constexpr int kMostHeads = 1 << 16;

constexpr const char* kTuneHelp =
    "Finds the fastest tiles for each descriptor and problem size on this GPU, keeps every trial in a database, and\n"
    "lets requests look the answers up. What the database has is not done again, so an interrupted run goes on where\n"
    "it ended. Without a GPU (--device emulator) seconds are modelled, and never mixed with measured ones.\n\n"
    "Example:\n  flashmask tune --dtype bf16 --head-dim 128 --form c1 --seqlen 8192,32768 --density light,medium\n"
    "  flashmask tune --manifest recorded.toml --budget 10m\n"
    "  flashmask tune report -o tuning.html";

constexpr const char* kReportHelp =
    "Writes one self-contained HTML page of a database: winners, every configuration, and why the others are not.\n\n"
    "Example:\n  flashmask tune report -o tuning.html";

constexpr const char* kDiffHelp =
    "Compares the answers of two databases or exports, bucket by bucket. Exit code 1 if any differ beyond their noise\n"
    "band.\n\nExample:\n  flashmask tune diff yesterday.json today.json";

constexpr const char* kExportHelp =
    "Writes the answers of a database as JSON, for FLASHMASK_TUNING or another machine's flashmask tune import.\n\n"
    "Example:\n  flashmask tune export -o h100.json --gpu H100";

constexpr const char* kImportHelp =
    "Takes the answers of an export into a database; of two for one key the newer one stays.\n\n"
    "Example:\n  flashmask tune import h100.json";

[[noreturn]] void refuse(const char* option, const std::string& text, const std::string& allowed) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}: {}", option, text, allowed));
}

/// "Q" or "Q,KV": query heads, and those of keys and values.
std::pair<int, int> parse_heads(const std::string& text) {
  const std::size_t comma = text.find(',');
  const int heads_q = parse_integer("--heads", text.substr(0, comma), 1, kMostHeads);
  const int heads_kv =
      comma == std::string::npos ? heads_q : parse_integer("--heads", text.substr(comma + 1), 1, kMostHeads);
  if (heads_q % heads_kv != 0) refuse("--heads", text, fmt::format("{} is not a multiple of {}", heads_q, heads_kv));
  return {heads_q, heads_kv};
}

/// A time with its unit: 90s, 10m or 2h.
std::chrono::duration<double> parse_budget(const std::string& text) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (failure != std::errc{} || seconds == 0 || !std::isfinite(number) || !(number > 0))
    refuse("--budget", text, "a time above 0 with its unit is needed, such as 90s, 10m or 2h");
  return std::chrono::duration<double>(number * seconds);
}

TuneDevice parse_tune_device(const std::string& text) {
  if (text == "auto") return TuneDevice::kAuto;
  if (text == "cuda") return TuneDevice::kCuda;
  if (text == "emulator") return TuneDevice::kEmulator;
  refuse("--device", text, "auto, cuda or emulator are allowed");
}

DensityClass require_density(const std::string& text) {
  const auto density = parse_density_class(text);
  if (!density || *density == DensityClass::kUnknown)
    refuse("--density", text, "sparse, light, medium or dense are allowed");
  return *density;
}

TuningEffort require_effort(const std::string& text) {
  const auto effort = parse_tuning_effort(text);
  if (!effort) refuse("--effort", text, "quick, normal or full are allowed");
  return *effort;
}

template <typename Value, typename Parse>
std::vector<Value> each(const std::vector<std::string>& texts, Parse parse) {
  std::vector<Value> values;
  for (const std::string& text : texts) values.push_back(parse(text));
  return values;
}

std::pair<int, int> head_dims_of(const std::string& text) {
  KernelDescriptor descriptor;
  // A list is separated by commas, so a pair of two widths is written as the descriptors print it.
  std::string pair = text;
  if (const std::size_t slash = pair.find('/'); slash != std::string::npos) pair[slash] = ',';
  parse_head_dims(pair, descriptor);
  return {descriptor.head_dim_qk, descriptor.head_dim_v};
}

}  // namespace

CLI::App* TuneOptions::add(const char* name, const char* description, const char* footer) {
  CLI::App* app = tune_->add_subcommand(name, description);
  app->footer(footer);
  return app;
}

TuneOptions::TuneOptions(CLI::App& app) {
  tune_ = app.add_subcommand("tune", "find the fastest tiles on this GPU, and keep the answers");
  tune_->require_subcommand(0, 1);
  tune_->footer(kTuneHelp);
  add_run_options();
  report_ = add("report", "write a page about the answers", kReportHelp);
  report_->add_option("-o,--output", output_, "HTML file to write")->required()->type_name("FILE");
  report_->add_option("--svg", svg_folder_, "also write the plots into this folder, as SVGs")->type_name("FOLDER");
  diff_ = add("diff", "compare the answers of two databases or exports", kDiffHelp);
  diff_->add_option("A", a_, "a database, or an export (.json)")->required()->type_name("");
  diff_->add_option("B", b_, "another one")->required()->type_name("");
  export_ = add("export", "write the answers as JSON", kExportHelp);
  export_->add_option("-o,--output", output_, "file to write")->required()->type_name("FILE");
  export_->add_option("--gpu", gpu_, "only of GPUs whose name holds this")->type_name("NAME");
  import_ = add("import", "take the answers of an export", kImportHelp);
  import_->add_option("FILE", input_, "the export")->required()->type_name("");
  for (CLI::App* each : {report_, export_, import_})
    each->add_option("--db", database_, "the database (default: where requests look)")->type_name("FILE");
  for (CLI::App* each : {diff_, export_, import_}) each->add_flag("--json", json_, "print one JSON object");
  // What a tuner starts: nobody's command, so no help names it.
  worker_ = app.add_subcommand("tune-worker", "")->group("");
}

void TuneOptions::add_run_options() {
  tune_->add_option("--db", database_, "the database (default: where requests look: FLASHMASK_TUNING)")
      ->type_name("FILE");
  tune_->add_option("--manifest", manifest_, "tune the descriptors of a manifest, or of a recorded run")
      ->type_name("FILE");
  tune_->add_option("--pass", passes_, "forward (default) and backward")->delimiter(',')->type_name("P");
  tune_->add_option("--dtype", dtypes_, "fp16 and bf16")->delimiter(',')->type_name("T");
  tune_->add_option("--head-dim", head_dims_, "D, or D/Dv where values are of another width")
      ->delimiter(',')
      ->type_name("D");
  tune_->add_option("--form", forms_, "masks: none, causal, window, c1, c2, f2 and f4")->delimiter(',')->type_name("F");
  tune_->add_option("--causal-alignment", alignment_, "bottom-right (default) or top-left")->type_name("A");
  tune_->add_flag("--deterministic", deterministic_, "of backwards: kernels that give the same bits every time");
  tune_->add_option("--seqlen", seqlens_, "of queries and keys alike (default 8192)")->delimiter(',')->type_name("N");
  tune_->add_option("--seqlen-q", seqlen_q_, "of queries, instead of --seqlen")->type_name("N");
  tune_->add_option("--seqlen-k", seqlen_k_, "of keys, instead of --seqlen")->type_name("N");
  tune_->add_option("--heads", heads_, "Q or Q,KV: query heads, and those of keys and values (default 16)")
      ->type_name("Q[,KV]");
  tune_->add_option("--batch", batch_, "default 1")->type_name("N");
  tune_
      ->add_option("--density", densities_,
                   "share of the scores that masks leave: sparse (below 1/16), light (1/4), medium (5/8), dense; "
                   "default light and medium. Of forms that hold only one, that one")
      ->delimiter(',')
      ->type_name("C");
  tune_->add_option("--mask", mask_, "this kind of mask instead; see flashmask mask list")->type_name("KIND");
  tune_->add_option("--param", parameters_, "NAME=VALUE of the kind; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE");
  tune_->add_option("--device", device_, "auto (default: the GPU if there is one), cuda or emulator")->type_name("D");
  tune_->add_option("--target", target_, "on the emulator: architecture (default sm_80): " + known_targets())
      ->type_name("T");
  tune_->add_option("--effort", effort_, "quick, normal (default) or full: how many tiles, how often")->type_name("E");
  tune_->add_option("--budget", budget_, "wall-clock time for all of it: 90s, 10m or 2h")->type_name("TIME");
  tune_->add_option("-j,--jobs", jobs_, "threads that compile (default: one per core)")->type_name("N");
  tune_->add_flag("--resume", resume_, "take what the database has (the default)");
  tune_->add_flag("--again", again_, "measure anew what the database has");
  tune_->add_flag("--replay", replay_, "only look the answers up; compile and time nothing");
  tune_->add_flag("--dry-run", dry_run_, "print the space of tiles, and what is pruned and why");
  tune_->add_flag("--json", json_, "print one JSON object");
}

TuneArguments TuneOptions::arguments() const {
  if (worker_->parsed()) return TuneWorkerArguments{};
  if (report_->parsed()) return TuneReportArguments{database_, output_, svg_folder_};
  if (diff_->parsed()) return TuneDiffArguments{a_, b_, json_};
  if (export_->parsed()) return TuneExportArguments{database_, output_, gpu_, json_};
  if (import_->parsed()) return TuneImportArguments{database_, input_, json_};
  return run();
}

TuneRunArguments TuneOptions::run() const {
  TuneRunArguments run;
  run.database = database_;
  run.manifest = manifest_;
  const bool names_descriptors = !passes_.empty() || !dtypes_.empty() || !head_dims_.empty() || !forms_.empty() ||
                                 alignment_.has_value() || deterministic_;
  if (!manifest_.empty() && names_descriptors)
    throw Error(
        ErrorCode::kInvalidArgument, fmt::format("--manifest {}: it says which kernels", manifest_),
        "leave out --pass, --dtype, --head-dim, --form, --causal-alignment and --deterministic, or the manifest");
  if (manifest_.empty())
    for (const auto& [texts, option] :
         {std::pair(&dtypes_, "--dtype"), std::pair(&head_dims_, "--head-dim"), std::pair(&forms_, "--form")})
      if (texts->empty())
        throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is required", option), "see flashmask tune --help");
  if (resume_ && again_)
    throw Error(ErrorCode::kInvalidArgument,
                "--resume --again: the one takes what is there, the other measures it anew", "leave one of them out");
  if (replay_ && again_)
    throw Error(ErrorCode::kInvalidArgument, "--replay --again: a replay measures nothing", "leave one of them out");
  run.passes = passes_.empty() ? std::vector{Pass::kForward} : each<Pass>(passes_, require_pass);
  for (const Pass pass : run.passes)
    if (!is_attention(pass))
      refuse("--pass", std::string(to_string(pass)), "kernels of masks have no tiles to tune; forward or backward");
  run.dtypes = each<DataType>(dtypes_, require_data_type);
  run.head_dims = each<std::pair<int, int>>(head_dims_, head_dims_of);
  run.forms = each<MaskForm>(forms_, require_mask_form);
  run.causal_alignment = optional_value(alignment_, require_causal_alignment).value_or(CausalAlignment::kBottomRight);
  run.deterministic = deterministic_;
  run.device = optional_value(device_, parse_tune_device).value_or(TuneDevice::kAuto);
  run.target = optional_value(target_, require_target);

  const auto length = [](const char* option, const std::string& text) {
    return parse_integer(option, text, 1, Mask::kMaxSeqlen);
  };
  if (!seqlens_.empty() && (seqlen_q_ || seqlen_k_))
    throw Error(ErrorCode::kInvalidArgument, "--seqlen is of queries and keys alike",
                "leave out --seqlen-q and --seqlen-k, or --seqlen");
  if (seqlen_q_.has_value() != seqlen_k_.has_value())
    throw Error(ErrorCode::kInvalidArgument, "--seqlen-q and --seqlen-k belong together", "give both, or --seqlen");
  for (const std::string& text : seqlens_) run.seqlens.emplace_back(length("--seqlen", text), length("--seqlen", text));
  if (seqlen_q_) run.seqlens.emplace_back(length("--seqlen-q", *seqlen_q_), length("--seqlen-k", *seqlen_k_));
  constexpr int kUsualSeqlen = 8192;
  if (run.seqlens.empty()) run.seqlens.emplace_back(kUsualSeqlen, kUsualSeqlen);
  if (heads_) std::tie(run.num_heads_q, run.num_heads_kv) = parse_heads(*heads_);
  if (batch_) run.batch = parse_integer("--batch", *batch_, 1, kMostHeads);

  run.mask_kind = mask_;
  run.mask_parameters = parameters_;
  if (!mask_.empty() && !densities_.empty())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("--mask {}: the mask has its density", mask_),
                "leave --density out, or --mask");
  if (mask_.empty() && !parameters_.empty())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("--param {}: it belongs to a mask", parameters_.front()),
                "name the kind: --mask");
  run.densities = densities_.empty() ? std::vector{DensityClass::kLight, DensityClass::kMedium}
                                     : each<DensityClass>(densities_, require_density);
  run.effort = optional_value(effort_, require_effort).value_or(TuningEffort::kNormal);
  run.budget = optional_value(budget_, parse_budget);
  if (jobs_) run.jobs = parse_integer("-j", *jobs_, 1, kMostJobs);
  run.again = again_;
  run.replay = replay_;
  run.dry_run = dry_run_;
  run.json = json_;
  return run;
}

}  // namespace flashmask::command
