#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "emulator/machine/machine.h"
#include "tools/command/emulate_arguments.h"

namespace flashmask::command {

/// "cta=X,Y,Z,warp=W" and perhaps "lanes=MASK", commas or blanks between them; what is left out is CTA 0, warp 0, all
/// lanes. Throws Error{kInvalidArgument}.
TraceChoice parse_trace(const std::string& text);

/// Prints the instructions of the chosen warp: line, the lanes that run it, text.
class Tracer {
 public:
  using Print = std::function<void(const std::string&)>;

  /// After `most_lines` it says so and falls silent.
  Tracer(const TraceChoice& choice, std::uint64_t most_lines, Print print)
      : choice_(choice), left_(most_lines), print_(std::move(print)) {}

  void operator()(const emulator::TraceStep& step);

 private:
  TraceChoice choice_;
  std::uint64_t left_;
  bool silent_ = false;
  Print print_;
};

}  // namespace flashmask::command
