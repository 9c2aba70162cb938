#pragma once

#include <map>
#include <string>

#include "runtime/tune/bench.h"

namespace flashmask::tune_tests {

/// What a configuration does in the worker of these tests.
enum class Behaviour { kRuns, kCrashes, kHangs, kExits, kBabbles, kComputesGarbage, kBreaksTheDevice };

/// Behaviours by to_word(config), as the worker's command line has them: "crash=64x64,w4,s2".
struct Script {
  std::map<std::string, Behaviour> behaviours;
  std::map<std::string, double> factors;  ///< of durations: "time=0.8:64x64,w4,s2"
  std::string counted;                    ///< a file that takes a line for each trial: "count=PATH"
  int milliseconds = 0;                   ///< that each trial takes: "slow=20"
};
/// Of the words behind a program's name.
Script parse_script(int argc, char** argv);

}  // namespace flashmask::tune_tests
