#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "flashmask/error.h"
#include "runtime/tune/bench_protocol.h"
#include "tests/tune/scripted_bench.h"

// A worker whose configurations do what its command line says, in place of kernels that really crash or hang.
namespace flashmask::tune_tests {

Script parse_script(int argc, char** argv) {
  static const std::map<std::string, Behaviour> kWords = {{"crash", Behaviour::kCrashes},
                                                          {"hang", Behaviour::kHangs},
                                                          {"exit", Behaviour::kExits},
                                                          {"babble", Behaviour::kBabbles},
                                                          {"garbage", Behaviour::kComputesGarbage},
                                                          {"break", Behaviour::kBreaksTheDevice}};
  Script script;
  for (int n = 1; n < argc; ++n) {
    const std::string word = argv[n];
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "count") {
      script.counted = value;
    } else if (name == "slow") {
      script.milliseconds = std::stoi(value);
    } else if (name == "time") {
      const std::size_t colon = value.find(':');
      script.factors[value.substr(colon + 1)] = std::stod(value.substr(0, colon));
    } else {
      script.behaviours[value] = kWords.at(name);
    }
  }
  return script;
}

namespace {

Script& script() {
  static Script one;
  return one;
}

class ScriptedBench final : public tune::Bench {
 public:
  void check(const TileConfig& config) override {
    const std::string word = to_word(config);
    note("check " + word);
    const auto found = script().behaviours.find(word);
    switch (found == script().behaviours.end() ? Behaviour::kRuns : found->second) {
      case Behaviour::kRuns:
        return;
      case Behaviour::kCrashes:
        std::fprintf(stderr, "it was nice to be here\n");
        std::raise(SIGKILL);
        return;
      case Behaviour::kHangs:
        std::this_thread::sleep_for(std::chrono::hours(1));
        return;
      case Behaviour::kExits:
        ::_exit(7);
      case Behaviour::kBabbles:
        std::cout << "{\"seconds\": true" << std::endl;
        return;
      case Behaviour::kComputesGarbage:
        throw tune::BenchFailure(TrialOutcome::kWrong, "the output is off by 3, 0.01 are allowed");
      case Behaviour::kBreaksTheDevice:
        throw Error(ErrorCode::kDevice, "an illegal address was accessed");
    }
  }

  tune::BenchTime time(const TileConfig& config, int) override {
    const std::string word = to_word(config);
    note("time " + word);
    std::this_thread::sleep_for(std::chrono::milliseconds(script().milliseconds));
    const auto found = script().factors.find(word);
    return {.seconds = 1e-3 * (found == script().factors.end() ? 1.2 : found->second), .sm_clock_mhz = 1500};
  }

 private:
  static void note(const std::string& line) {
    if (!script().counted.empty()) std::ofstream(script().counted, std::ios::app) << line << std::endl;
  }
};

std::unique_ptr<tune::Bench> make_bench(const tune::BenchJob&) {
  return std::make_unique<ScriptedBench>();
}

}  // namespace
}  // namespace flashmask::tune_tests

int main(int argc, char** argv) {
  using namespace flashmask;
  tune_tests::script() = tune_tests::parse_script(argc, argv);
  return tune::serve_bench(std::cin, std::cout, tune_tests::make_bench);
}
