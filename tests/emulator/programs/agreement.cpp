// Proves the emulator against a GPU: every right program on both, and both against what it must give.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/emulator/programs/compile.h"
#include "tests/emulator/programs/gpu.h"
#include "tests/emulator/programs/run.h"

namespace flashmask::emulator::programs {
namespace {

using nlohmann::json;

struct Options {
  std::string device = "emulator";
  std::string filter;
  std::string json_path;
  std::string ptx_folder;
  std::string written_folder;
};

std::string path_of(const std::string& folder, const Theme& theme) {
  return fmt::format("{}/{}.ptx", folder, theme.name);
}

Module load(const Theme& theme, const Options& options) {
  if (options.ptx_folder.empty()) return module_of(compile(theme));
  std::ifstream file(path_of(options.ptx_folder, theme));
  if (!file) {
    throw std::runtime_error(
        fmt::format("--ptx {}: there is no {}.ptx; --write-ptx writes it", options.ptx_folder, theme.name));
  }
  return module_of({std::istreambuf_iterator<char>(file), {}});
}

void write_ptx(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const Theme& theme : all_themes()) std::ofstream(path_of(folder, theme)) << compile(theme);
}

/// One program on the device and on the emulator. The record says why they disagree, or nothing.
json compare(const TestProgram& program, const Module& module, const Program& parsed, Gpu* gpu) {
  const Data data = program.data();
  const std::string& entry = module.entries.at(program.instance(0));
  json record = {{"program", program.name}};
  try {
    MachineOptions other;
    other.seed = 1;
    const Words emulated = run_emulated(parsed, entry, program, data, {});
    const Words given =
        gpu ? gpu->run(module, entry, program, data) : run_emulated(parsed, entry, program, data, other);
    record["words"] = given.size();
    record["bound"] = program.bound;
    record["emulator"] = difference(program, data.expected, emulated);
    record["device"] = difference(program, data.expected, given);
    record["between"] = difference(program, emulated, given);
    record["agrees"] = record["emulator"] == "" && record["device"] == "" && record["between"] == "";
  } catch (const std::exception& error) {
    record["error"] = error.what();
    record["agrees"] = false;
  }
  return record;
}

int run_all(const Options& options) {
  std::optional<Gpu> gpu;
  if (options.device == "cuda") gpu.emplace();
  json records = json::array();
  std::size_t disagreements = 0;
  std::vector<std::string> left_out;
  const auto is_wanted = [&](const TestProgram& program) {
    return program.name.find(options.filter) != std::string::npos;
  };
  for (const Theme& theme : all_themes()) {
    if (std::none_of(theme.programs.begin(), theme.programs.end(), is_wanted)) continue;
    if (gpu && !gpu->runs(theme.architecture)) {
      left_out.emplace_back(theme.name);
      continue;
    }
    const Module module = load(theme, options);
    const auto parsed = Program::parse(module.ptx);
    for (const TestProgram& program : theme.programs) {
      if (!is_wanted(program)) continue;
      records.push_back(compare(program, module, *parsed, gpu ? &*gpu : nullptr));
      const json& record = records.back();
      if (record["agrees"]) continue;
      ++disagreements;
      fmt::print("{}\n", record.dump());
    }
  }
  const std::string device = gpu ? gpu->name() : "emulator, another seed";
  fmt::print("{} programs on {}: {} disagree\n", records.size(), device, disagreements);
  for (const std::string& theme : left_out) fmt::print("left out, as the GPU does not run its code: {}\n", theme);
  if (!options.json_path.empty()) {
    std::ofstream(options.json_path) << json{{"device", device},
                                             {"programs", records},
                                             {"disagreements", disagreements},
                                             {"left_out", left_out}}
                                            .dump(1)
                                     << "\n";
  }
  return disagreements == 0 && !records.empty() ? 0 : 1;
}

int agreement_main(int argc, char** argv) {
  Options options;
  if (const char* device = std::getenv("FLASHMASK_TEST_DEVICE"); device && *device) options.device = device;
  CLI::App app("Compares the results of every program on a device with those of the emulator.");
  app.add_option("--device", options.device, "cuda or emulator (default: FLASHMASK_TEST_DEVICE, else emulator)")
      ->check(CLI::IsMember({"cuda", "emulator"}));
  app.add_option("--filter", options.filter, "only programs whose name contains this");
  app.add_option("--json", options.json_path, "file for the records");
  app.add_option("--ptx", options.ptx_folder, "folder of compiled programs, where there is no NVRTC");
  app.add_option("--write-ptx", options.written_folder, "compile into this folder, and run nothing");
  CLI11_PARSE(app, argc, argv);
  if (!options.written_folder.empty()) {
    write_ptx(options.written_folder);
    return 0;
  }
  return run_all(options);
}

}  // namespace
}  // namespace flashmask::emulator::programs

int main(int argc, char** argv) {
  try {
    return flashmask::emulator::programs::agreement_main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "emulator_agreement: {}\n", error.what());
    return 1;
  }
}
