#include "tools/command/compile_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "flashmask/error.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr int kMostJobs = 1024;

constexpr const char* kHelp =
    "Compiles one kernel, or every kernel of a manifest, into the cache. What the cache has stays as it is, so that "
    "an\n"
    "interrupted run goes on where it ended. Needs no GPU and no driver.\n\n"
    "Example:\n"
    "  flashmask compile --dtype bf16 --head-dim 128 --form c1 --target sm_90a --json\n"
    "  flashmask compile kernels.toml --target sm_90a --target sm_80 -j 8";

[[noreturn]] void refuse_beside_manifest(const std::string& given, const char* option) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: the manifest says it", given),
              fmt::format("leave {} out, or the manifest", option));
}

}  // namespace

CompileOptions::CompileOptions(CLI::App& app) {
  app_ = app.add_subcommand("compile", "compile one kernel, or those of a manifest, into the cache");
  app_->add_option("MANIFEST", manifest_, "a list of kernels in TOML, instead of one by options")->type_name("");
  add_selection(*app_, selection_);
  app_->add_option(
          "--target", targets_,
          "architecture; with a manifest instead of those that it names, and as often as wanted: " + known_targets())
      ->allow_extra_args(false)
      ->type_name("T");
  app_->add_option("-j,--jobs", jobs_, "with a manifest: threads that compile (default: one per core)")->type_name("N");
  app_->add_flag("--json", json_, "print one JSON object");
  app_->footer(kHelp);
}

Arguments CompileOptions::arguments() const {
  if (manifest_) return manifest();
  return one_kernel();
}

CompileArguments CompileOptions::one_kernel() const {
  if (jobs_)
    throw Error(ErrorCode::kInvalidArgument, fmt::format("-j {}: one kernel is compiled by one thread", *jobs_),
                "give a manifest, or leave -j out");
  if (targets_.size() > 1)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--target {}: one kernel has one target", fmt::join(targets_, " --target ")),
                "give a manifest to compile for several targets at once");
  SelectionTexts selection = selection_;
  if (!targets_.empty()) selection.target = targets_.front();
  return {.descriptor = descriptor_of(selection), .tile = tile_wish(selection.tile, selection.config), .json = json_};
}

CompileManifestArguments CompileOptions::manifest() const {
  for (const auto& [text, option] :
       {std::pair(&selection_.pass, "--pass"), std::pair(&selection_.dtype, "--dtype"),
        std::pair(&selection_.head_dim, "--head-dim"), std::pair(&selection_.form, "--form"),
        std::pair(&selection_.alignment, "--causal-alignment"), std::pair(&selection_.tile, "--tile"),
        std::pair(&selection_.config, "--config")}) {
    if (*text) refuse_beside_manifest(fmt::format("{} {}", option, **text), option);
  }
  if (selection_.deterministic) refuse_beside_manifest("--deterministic", "--deterministic");
  CompileManifestArguments arguments{.manifest = *manifest_, .targets = {}, .jobs = {}, .json = json_};
  for (const std::string& target : targets_) arguments.targets.push_back(require_target(target));
  if (jobs_) arguments.jobs = parse_integer("-j", *jobs_, 1, kMostJobs);
  return arguments;
}

}  // namespace flashmask::command
