#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask::mutants {

/// One change of one instruction that orders something.
struct Mutation {
  std::string entry;      ///< the kernel in which it stands
  std::string change;     ///< "bar.sync removed", "cp.async.wait_group 1 instead of 0"
  int number = 0;         ///< among the mutations of this entry with the same `change`, from 1
  std::size_t line = 0;   ///< of the PTX text, from 1
  std::string original;   ///< the statement, without blanks around it
  std::string statement;  ///< what stands in its place
};
/// "flashmask_forward_…: bar.sync removed, number 2 (line 120: bar.sync 0;)"
std::string describe(const Mutation& mutation);

/// Every instruction of `ptx` that waits, fences, commits, arrives or synchronises: removed, and, where it has a weaker
/// form, weakened. In the order of the lines.
std::vector<Mutation> mutations_of(std::string_view ptx, std::string_view entry);

/// The text with the one statement changed.
std::string mutated(std::string_view ptx, const Mutation& mutation);

}  // namespace flashmask::mutants
