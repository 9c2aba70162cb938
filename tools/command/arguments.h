#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/problem_hint.h"
#include "flashmask/tile_config.h"
#include "tools/command/cache_arguments.h"
#include "tools/command/emulate_arguments.h"
#include "tools/command/mask_arguments.h"
#include "tools/command/tune_arguments.h"

namespace flashmask::command {

enum class DeviceChoice { kAuto, kCuda, kEmulator };

/// --window L,R: keys to the left and to the right that a query sees; -1: all of that side.
struct Window {
  int left = -1;
  int right = -1;
};

/// --tile Q,K: query rows and key columns of a tile.
struct TileShape {
  int query = 0;
  int key = 0;
};

/// What is asked of a kernel's tiles: their shape (--tile), or everything (--config).
using TileWish = std::variant<TileShape, TileConfig>;

struct RunArguments {
  std::filesystem::path input;
  std::filesystem::path output;
  bool causal = false;
  std::optional<CausalAlignment> causal_alignment;
  std::optional<Window> window;
  std::optional<float> scale;  ///< empty: 1 / sqrt(head_dim_qk)
  DeviceChoice device = DeviceChoice::kAuto;
  std::optional<Target> target;         ///< empty: the GPU's own, sm_80 on the emulator
  std::optional<TileWish> tile;         ///< of the backward's kernel if there is one
  std::optional<std::uint64_t> seed;    ///< of the emulator; empty: 0
  std::optional<std::string> schedule;  ///< of the emulator; empty: random
  bool no_races = false;                ///< the emulator checks no happens-before
  bool backward = false;                ///< the gradients too
  bool deterministic = false;           ///< of the backward
  bool verify = false;
  bool no_skip = false;  ///< visit empty tiles too
  bool json = false;
};

struct CompileArguments {
  KernelDescriptor descriptor;
  std::optional<TileWish> tile;
  bool json = false;
};

/// Every kernel of a manifest.
struct CompileManifestArguments {
  std::string manifest;         ///< a path
  std::vector<Target> targets;  ///< instead of the manifest's, unless empty
  std::optional<int> jobs;      ///< threads; empty: one per core
  bool json = false;
};

/// A command to be run, and the manifest of its requests.
struct RecordArguments {
  std::filesystem::path output;
  std::vector<std::string> command;  ///< its name and its arguments
};

/// What flashmask inspect --cfg -o writes.
enum class GraphFormat { kDot, kSvg };

struct InspectArguments {
  std::filesystem::path file;   ///< PTX or a cubin; empty: the kernel of the descriptor
  KernelDescriptor descriptor;  ///< of no file
  std::optional<TileWish> tile;
  bool source = false;
  bool ptx = false;
  bool resources = false;
  bool sass_order = false;
  bool cfg = false;
  bool sections = false;
  std::string entry;             ///< of cfg; empty: the kernel's own, of a file the only one
  std::filesystem::path output;  ///< of cfg; empty: standard output
  GraphFormat format = GraphFormat::kDot;
  bool json = false;
};

struct ExplainArguments {
  KernelDescriptor descriptor;
  std::optional<TileWish> tile;
  DeviceChoice device = DeviceChoice::kAuto;  ///< whose tuned answers are looked up
  ProblemHint hint;
  bool json = false;
};

struct DoctorArguments {
  bool json = false;
};

/// --help and --version: a text for standard output.
struct ShownText {
  std::string text;
};

using Arguments =
    std::variant<RunArguments, CompileArguments, CompileManifestArguments, RecordArguments, CacheArguments,
                 InspectArguments, ExplainArguments, MaskShowArguments, MaskBuildArguments, MaskListArguments,
                 EmulateArguments, DoctorArguments, TuneArguments, ShownText>;

/// Parses the words behind the command's name. Throws Error{kInvalidArgument} with the option, its value and what is
/// allowed.
Arguments parse_arguments(const std::vector<std::string>& words);

}  // namespace flashmask::command
