#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/problem_hint.h"
#include "flashmask/tuner.h"

namespace flashmask::command {

enum class TuneDevice { kAuto, kCuda, kEmulator };

/// What is to be tuned: descriptors times lengths times densities.
struct TuneRunArguments {
  std::string database;  ///< a path; empty: where requests look answers up
  std::string manifest;  ///< the descriptors; empty: those below
  std::vector<Pass> passes;
  std::vector<DataType> dtypes;
  std::vector<std::pair<int, int>> head_dims;  ///< of queries and keys, and of values
  std::vector<MaskForm> forms;
  CausalAlignment causal_alignment = CausalAlignment::kBottomRight;
  bool deterministic = false;
  TuneDevice device = TuneDevice::kAuto;
  std::optional<Target> target;              ///< of the emulator
  std::vector<std::pair<int, int>> seqlens;  ///< of queries and keys
  int batch = 1;
  int num_heads_q = 16;
  int num_heads_kv = 16;
  std::vector<DensityClass> densities;  ///< of forms that hold more than one
  std::string mask_kind;                ///< instead of densities
  std::vector<std::string> mask_parameters;
  TuningEffort effort = TuningEffort::kNormal;
  std::optional<std::chrono::duration<double>> budget;
  int jobs = 0;
  bool again = false;
  bool replay = false;
  bool dry_run = false;
  bool json = false;
};

struct TuneReportArguments {
  std::string database;
  std::filesystem::path output;
  std::filesystem::path svg_folder;  ///< empty: no SVGs
};

/// Each a database or an exported file.
struct TuneDiffArguments {
  std::string a, b;
  bool json = false;
};

struct TuneExportArguments {
  std::string database;
  std::filesystem::path output;
  std::string gpu;  ///< only of GPUs whose name holds this
  bool json = false;
};

struct TuneImportArguments {
  std::string database;
  std::filesystem::path input;
  bool json = false;
};

/// A process that times for a tuner.
struct TuneWorkerArguments {};

using TuneArguments = std::variant<TuneRunArguments, TuneReportArguments, TuneDiffArguments, TuneExportArguments,
                                   TuneImportArguments, TuneWorkerArguments>;

}  // namespace flashmask::command
