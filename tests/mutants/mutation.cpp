#include "tests/mutants/mutation.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <map>
#include <optional>

namespace flashmask::mutants {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

/// A statement: guard, opcode with its modifiers, operands.
struct Statement {
  std::string_view guard;
  std::string_view opcode;
  std::string_view operands;  ///< without the semicolon
};

std::optional<Statement> parse(std::string_view text) {
  text = without_blanks(text);
  if (text.empty() || text.back() != ';') return std::nullopt;
  text.remove_suffix(1);
  Statement statement;
  if (text.front() == '@') {
    const std::size_t end = text.find_first_of(" \t");
    if (end == std::string_view::npos) return std::nullopt;
    statement.guard = text.substr(0, end);
    text = without_blanks(text.substr(end));
  }
  const std::size_t end = text.find_first_of(" \t");
  statement.opcode = text.substr(0, end);
  if (end != std::string_view::npos) statement.operands = without_blanks(text.substr(end));
  return statement;
}

bool has(std::string_view opcode, std::string_view part) {
  return opcode.find(part) != std::string_view::npos;
}

/// What orders, and can be left out without leaving a register unwritten.
bool is_removable(std::string_view opcode) {
  constexpr std::array kPrefixes = {
      "bar.sync",        "bar.arrive",         "barrier.sync",    "barrier.cta.sync",
      "barrier.arrive",  "bar.warp.sync",      "barrier.cluster", "cp.async.wait",
      "cp.async.commit", "cp.async.bulk.wait", "membar",          "fence",
      "wgmma.fence",     "wgmma.commit",       "wgmma.wait",      "cp.async.bulk.commit",
      "mbarrier.arrive", "mbarrier.expect_tx", "mbarrier.init",   "cp.async.mbarrier.arrive",
      "setmaxnreg.dec"};
  for (const std::string_view prefix : kPrefixes) {
    if (opcode.starts_with(prefix)) return true;
  }
  return false;
}

std::string joined(const Statement& statement, std::string_view opcode, std::string_view operands) {
  std::string text(statement.guard);
  if (!text.empty()) text += ' ';
  text += opcode;
  if (!operands.empty()) text += fmt::format(" {}", operands);
  return text + ';';
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result(text);
  if (const std::size_t at = result.find(from); at != std::string::npos) result.replace(at, from.size(), to);
  return result;
}

struct Change {
  std::string name;
  std::string statement;
};

std::vector<Change> changes_of(const Statement& statement) {
  const std::string_view opcode = statement.opcode;
  std::vector<Change> changes;
  const auto weaken = [&](std::string_view from, std::string_view to) {
    changes.push_back({fmt::format("{} weakened from {} to {}", opcode, from, to),
                       joined(statement, replaced(opcode, from, to), statement.operands)});
  };
  if (is_removable(opcode)) changes.push_back({fmt::format("{} removed", opcode), ""});
  if (has(opcode, "wait_group")) {
    const int groups = std::stoi(std::string(statement.operands));
    changes.push_back({fmt::format("{} {} instead of {}", opcode, groups + 1, groups),
                       joined(statement, opcode, std::to_string(groups + 1))});
    if (has(opcode, "bulk") && !has(opcode, ".read")) weaken("wait_group", "wait_group.read");
  }
  if (opcode.starts_with("mbarrier.try_wait") || opcode.starts_with("mbarrier.test_wait")) {
    // The wait is over at once.
    const std::string_view predicate = statement.operands.substr(0, statement.operands.find(','));
    changes.push_back({fmt::format("{} does not wait", opcode),
                       joined(statement, "setp.eq.u32", fmt::format("{}, 0, 0", predicate))});
  }
  if (opcode.starts_with("mbarrier.arrive.expect_tx")) {
    // It arrives, and announces nothing.
    changes.push_back({fmt::format("{} expects nothing", opcode),
                       joined(statement, replaced(opcode, ".expect_tx", ""),
                              statement.operands.substr(0, statement.operands.rfind(',')))});
  }
  const bool orders = opcode.starts_with("atom") || opcode.starts_with("red") || opcode.starts_with("ld.") ||
                      opcode.starts_with("st.") || opcode.starts_with("mbarrier.arrive");
  for (const std::string_view strong : {"acq_rel", "acquire", "release"}) {
    if (orders && has(opcode, strong)) weaken(strong, "relaxed");
  }
  const bool publishes = orders || opcode.starts_with("fence");
  if (publishes && has(opcode, ".gpu")) weaken(".gpu", ".cta");
  if (opcode.starts_with("membar.gl")) weaken(".gl", ".cta");
  return changes;
}

}  // namespace

std::string describe(const Mutation& mutation) {
  return fmt::format("{}: {}, number {} (line {}: {})", mutation.entry, mutation.change, mutation.number, mutation.line,
                     mutation.original);
}

std::vector<Mutation> mutations_of(std::string_view ptx, std::string_view entry) {
  std::vector<Mutation> mutations;
  std::map<std::string, int> numbers;
  const std::vector<std::string_view> lines = lines_of(ptx);
  bool inside = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    if (has(line, ".entry")) inside = has(line, fmt::format(".entry {}(", entry));
    if (!inside) continue;
    const std::optional<Statement> statement = parse(line);
    if (!statement) continue;
    for (Change& change : changes_of(*statement)) {
      const int number = ++numbers[change.name];
      mutations.push_back({std::string(entry), std::move(change.name), number, i + 1, std::string(without_blanks(line)),
                           std::move(change.statement)});
    }
  }
  return mutations;
}

std::string mutated(std::string_view ptx, const Mutation& mutation) {
  std::string result;
  result.reserve(ptx.size());
  const std::vector<std::string_view> lines = lines_of(ptx);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    result += i + 1 == mutation.line ? std::string_view(mutation.statement) : lines[i];
    result += '\n';
  }
  return result;
}

}  // namespace flashmask::mutants
