#pragma once

#include <fmt/format.h>
#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <string>

#include "../cache/scratch_directory.h"
#include "flashmask/tuning_database.h"

namespace flashmask::testing {

/// A key in which no field has its default and no two numbers are the same. Different numbers give different keys, of
/// 100 descriptors.
inline TuningKey sample_key(int number = 0) {
  TuningKey key;
  key.basis = TuningBasis::kModelled;
  key.gpu = {"NVIDIA H200, \"big\"", 90, 132 + number / 800, std::uint64_t{50} << 20, 232'448};
  key.descriptor = {.pass = Pass::kBackward,
                    .dtype = number % 2 == 0 ? DataType::kFloat16 : DataType::kBfloat16,
                    .head_dim_qk = 192 - 8 * (number / 2 % 10),
                    .head_dim_v = 128 - 8 * (number / 20 % 5),
                    .mask_form = MaskForm::kC2,
                    .causal_alignment = CausalAlignment::kTopLeft,
                    .target = {80, false},
                    .deterministic = true};
  key.bucket = {8192 << (number / 100 % 4), 4096, 16 << (number / 400 % 2), DensityClass::kMedium};
  key.method = "events, cold L2, N(0,1), 1";
  key.templates = "0123456789abcdef";
  return key;
}

inline TileConfig sample_config(int number = 0) {
  return {.tile_q = 64 + number, .tile_k = 128, .warps = 8, .stages = 2, .column_warps = 2};
}

inline TuningProvenance sample_provenance(std::string date = "2026-11-27T12:00:00Z") {
  return {"13.0", 1980, "nvrtc 13.0.88", "0.1.0", "batch 2, heads 8", "full", std::move(date)};
}

inline TuningTrial sample_trial(int number = 0) {
  return {sample_config(number), TrialOutcome::kSpills, "spills 8 bytes", {255, 8, 16, 1024, 65'536, 32}, 2, 0.75, 0.1};
}

inline TuningRecord sample_record(int number = 0) {
  TuningRecord record;
  record.key = sample_key(number);
  record.config = {.tile_q = 64, .tile_k = 64, .warps = 8, .stages = 2, .column_warps = 2};
  record.default_config = {.tile_q = 64, .tile_k = 128, .warps = 8, .stages = 3, .column_warps = 1};
  record.seconds = 0.1 + number;
  record.default_seconds = 1.0 / 3;
  record.band = 0.02;
  record.rounds = 31;
  record.reason = "in 30 of 31 rounds faster than the default\nby more than the band";
  record.provenance = sample_provenance();
  return record;
}

/// The resources of trials and the circumstances of rounds have no comparison of their own.
inline std::string text_of(const TuningTrial& trial) {
  const KernelResources& r = trial.resources;
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {}", to_string(trial.config), to_string(trial.outcome),
                     trial.reason, r.registers, r.spill_store_bytes, r.spill_load_bytes, r.static_shared_bytes,
                     r.dynamic_shared_bytes, r.stack_bytes, trial.ctas_per_sm, trial.compile_seconds,
                     trial.coarse_seconds);
}

/// A folder in memory, where the machine has that.
class MemoryDirectory : public cache::ScratchDirectory {
 public:
  std::string file(const std::string& name) const { return path() + "/" + name; }
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

/// The first column of the first row of a statement, past the library.
inline std::string ask_sqlite(const std::string& path, const char* sql) {
  sqlite3* database = nullptr;
  std::string answer;
  char* words = nullptr;
  if (sqlite3_open(path.c_str(), &database) == SQLITE_OK)
    sqlite3_exec(
        database, sql,
        [](void* into, int, char** columns, char**) {
          *static_cast<std::string*>(into) = columns[0] ? columns[0] : "NULL";
          return 0;
        },
        &answer, &words);
  if (words) answer = words;
  sqlite3_free(words);
  sqlite3_close(database);
  return answer;
}

}  // namespace flashmask::testing
