#include "tools/command/cache_options.h"

#include <fmt/format.h>

#include "flashmask/error.h"
#include "flashmask/runtime.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

constexpr const char* kCacheHelp =
    "The user's cache of kernels (FLASHMASK_CACHE_DIR). Needs no GPU; only verify --rebuild needs a compiler.\n\n"
    "Example:\n  flashmask cache export -o kernels.pack --target sm_90a\n"
    "  FLASHMASK_PACKS=$PWD/kernels.pack FLASHMASK_NO_JIT=1 flashmask explain --dtype bf16 --head-dim 128 --form c1 "
    "--target sm_90a";

constexpr const char* kListHelp =
    "Every kernel with its resources, as its entry tells them; what is broken, with the reason. Each file is read in\n"
    "full and judged as a request would judge it; nothing is removed.\n\nExample:\n  flashmask cache list";

constexpr const char* kShowHelp =
    "All that the entry of one kernel says, for each toolchain that compiled it, with ptxas' log.\n\n"
    "Example:\n  flashmask cache show 3fa4b1";

constexpr const char* kStatsHelp =
    "How many kernels there are and how large they are, by target, pass and toolchain.\n\n"
    "Example:\n  flashmask cache stats --json";

constexpr const char* kVerifyHelp =
    "Reads and judges everything. With --rebuild also compiles every kernel again and compares the images byte by\n"
    "byte; kernels of another toolchain or of another version of FlashMask are told and not compared.\n"
    "Exit code 1 if something is broken (and was not removed) or differs.\n\n"
    "Example:\n  flashmask cache verify --rebuild";

constexpr const char* kCollectHelp =
    "Removes the kernels that were not used for longest until the rest takes no more than FLASHMASK_CACHE_SIZE, and\n"
    "temporary files that killed processes left.\n\nExample:\n  flashmask cache gc --size 512MiB";

constexpr const char* kClearHelp =
    "Removes every kernel. Asks nothing, and does nothing without --yes. Files that are not the cache's stay.\n\n"
    "Example:\n  flashmask cache clear --yes";

constexpr const char* kExtractHelp =
    "Writes a kernel's image into a file: its cubin, for cuobjdump or a loader of your own, or its PTX.\n\n"
    "Example:\n  flashmask cache extract 3fa4b1 cubin -o kernel.cubin";

constexpr const char* kExportHelp =
    "Writes the cache's kernels into one file, for FLASHMASK_PACKS or flashmask cache import. Equal kernels give "
    "equal\n"
    "bytes. The file appears whole or not at all. What is broken is left out and told.\n\n"
    "Example:\n  flashmask cache export -o kernels.pack --target sm_90a --drop-ptx";

constexpr const char* kImportHelp =
    "Stores the kernels of a pack in the cache. All of it is checked first, and one bad entry refuses it. Kernels "
    "that\n"
    "are there stay. Exit code 2: the pack is damaged; 4: it is of a newer version, or has nothing for the targets;\n"
    "3: some kernels could not be stored.\n\nExample:\n  flashmask cache import kernels.pack";

constexpr const char* kDigestHelp = "the first digits of its digest, four or more";

std::vector<Target> targets_of(const std::vector<std::string>& texts) {
  std::vector<Target> targets;
  for (const std::string& text : texts) targets.push_back(require_target(text));
  return targets;
}

std::uint64_t parse_size(const std::string& text) {
  const auto bytes = parse_cache_bytes(text);
  if (!bytes)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--size {}: a size with its unit is needed, such as 512MiB or 2GiB", text));
  return *bytes;
}

}  // namespace

CLI::App* CacheOptions::add(const char* name, const char* description, const char* footer) {
  CLI::App* app = cache_->add_subcommand(name, description);
  app->footer(footer);
  return app;
}

CacheOptions::CacheOptions(CLI::App& app) {
  cache_ = app.add_subcommand("cache", "look at the cache of kernels, check it, shrink it, pack and unpack it");
  cache_->require_subcommand(0, 1);  // arguments() says which there are
  cache_->footer(kCacheHelp);
  list_ = add("list", "every kernel", kListHelp);
  show_ = add("show", "one kernel", kShowHelp);
  stats_ = add("stats", "how many, and how large", kStatsHelp);
  verify_ = add("verify", "read and judge everything, or compile it again", kVerifyHelp);
  collect_ = add("gc", "remove what was not used for longest", kCollectHelp);
  clear_ = add("clear", "remove everything", kClearHelp);
  extract_ = add("extract", "write a kernel's image into a file", kExtractHelp);
  export_ = add("export", "write the kernels into a pack", kExportHelp);
  import_ = add("import", "store the kernels of a pack", kImportHelp);

  for (CLI::App* each : {list_, verify_})
    each->add_option("--pack", pack_, "of this pack instead of the cache")->type_name("FILE");
  for (CLI::App* each : {show_, extract_}) each->add_option("DIGEST", digest_, kDigestHelp)->required()->type_name("");
  extract_->add_option("SECTION", section_, "cubin or ptx")->required()->type_name("");
  extract_->add_option("-o,--output", output_, "file to write")->required()->type_name("FILE");
  verify_->add_flag("--rebuild", rebuild_, "compile every kernel again and compare");
  verify_->add_flag("--remove", remove_, "remove what is broken");
  collect_->add_option("--size", size_, "how much may stay (default FLASHMASK_CACHE_SIZE)")->type_name("SIZE");
  clear_->add_flag("--yes", yes_, "really");
  export_->add_option("-o,--output", output_, "pack to write")->required()->type_name("FILE");
  export_->add_flag("--drop-ptx", drop_ptx_, "leave out the PTX, which only the emulator needs");
  import_->add_option("FILE", pack_, "the pack")->required()->type_name("");
  for (CLI::App* each : {export_, import_})
    each->add_option("--target", targets_, "only kernels for this architecture; may be repeated")
        ->allow_extra_args(false)
        ->type_name("T");
  for (CLI::App* each : {list_, show_, stats_, verify_, collect_, clear_, export_, import_})
    each->add_flag("--json", json_, "print one JSON object");
}

CacheArguments CacheOptions::arguments() const {
  if (list_->parsed()) return CacheListArguments{pack_, json_};
  if (show_->parsed()) return CacheShowArguments{digest_, json_};
  if (stats_->parsed()) return CacheStatsArguments{json_};
  if (verify_->parsed()) {
    if (!pack_.empty() && (rebuild_ || remove_))
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--pack {}: a pack is only read; --rebuild and --remove are for the cache", pack_),
                  "import it first");
    return CacheVerifyArguments{pack_, rebuild_, remove_, json_};
  }
  if (collect_->parsed()) return CacheCollectArguments{optional_value(size_, parse_size), json_};
  if (clear_->parsed()) {
    if (!yes_)
      throw Error(ErrorCode::kInvalidArgument, "cache clear removes every kernel, and does so only with --yes",
                  "flashmask cache clear --yes");
    return CacheClearArguments{json_};
  }
  if (extract_->parsed()) return CacheExtractArguments{digest_, section_, output_};
  if (export_->parsed()) return CacheExportArguments{output_, targets_of(targets_), drop_ptx_, json_};
  if (import_->parsed()) return CacheImportArguments{pack_, targets_of(targets_), json_};
  throw Error(ErrorCode::kInvalidArgument,
              "flashmask cache: list, show, stats, verify, gc, clear, extract, export or import is needed",
              "see flashmask cache --help");
}

}  // namespace flashmask::command
