#include "emulator/ptx/symbol_table.h"

#include <charconv>

namespace flashmask::emulator::ptx {
namespace {

constexpr std::size_t kMostNestedBlocks = 64;

/// %r12 as "%r" and 12.
struct NumberedName {
  std::string_view stem;
  std::optional<std::uint32_t> number;
};

NumberedName split(std::string_view name) {
  const std::size_t last = name.find_last_not_of("0123456789");
  const std::size_t digits = last == std::string_view::npos ? 0 : last + 1;
  NumberedName result{name.substr(0, digits), std::nullopt};
  const std::string_view text = name.substr(digits);
  // %r01 is not %r1.
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return result;
  std::uint32_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc()) result.number = number;
  return result;
}

}  // namespace

std::optional<Symbol> SymbolTable::Scope::find(std::string_view name) const {
  if (const auto found = names.find(name); found != names.end()) return found->second;
  if (families.empty()) return std::nullopt;
  const NumberedName numbered = split(name);
  if (!numbered.number) return std::nullopt;
  const auto found = families.find(numbered.stem);
  if (found == families.end() || *numbered.number >= found->second.count) return std::nullopt;
  return Symbol{Symbol::Kind::kRegister, found->second.first + *numbered.number};
}

void SymbolTable::open(Position position) {
  if (scopes_.size() == kMostNestedBlocks) {
    throw ParseError(position, "blocks are nested more deeply than " + std::to_string(kMostNestedBlocks), true);
  }
  scopes_.emplace_back();
}

void SymbolTable::close() {
  const Scope closed = std::move(scopes_.back());
  scopes_.pop_back();
  for (const LabelUse& use : closed.uses) {
    const auto found = closed.names.find(use.name);
    const bool is_label = found != closed.names.end() &&
                          (found->second.kind == Symbol::Kind::kLabel || found->second.kind == Symbol::Kind::kTargets);
    if (is_label) {
      resolved_.emplace_back(use, found->second);
    } else if (scopes_.empty()) {
      throw ParseError(use.position, "the name '" + std::string(use.name) + "' is not declared");
    } else {
      scopes_.back().uses.push_back(use);
    }
  }
}

void SymbolTable::declare(std::string_view name, Symbol symbol, Position position) {
  Scope& scope = scopes_.back();
  if (scope.find(name)) throw ParseError(position, "'" + std::string(name) + "' is declared twice");
  scope.names.emplace(name, symbol);
}

void SymbolTable::declare_family(std::string_view stem, std::uint32_t first, std::uint32_t count, Position position) {
  Scope& scope = scopes_.back();
  if (!scope.families.emplace(stem, Family{first, count}).second) {
    throw ParseError(position, "'" + std::string(stem) + "<" + std::to_string(count) + ">' is declared twice");
  }
  // Whichever are fewer: the names of the block, or the members of the family.
  const auto refuse = [&](std::string_view name) {
    throw ParseError(position, "'" + std::string(name) + "' is declared twice");
  };
  if (scope.names.size() < count) {
    for (const auto& [name, symbol] : scope.names) {
      const NumberedName numbered = split(name);
      if (numbered.stem == stem && numbered.number && *numbered.number < count) refuse(name);
    }
  } else {
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string name = std::string(stem) + std::to_string(i);
      if (scope.names.contains(name)) refuse(name);
    }
  }
}

std::optional<Symbol> SymbolTable::find(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const std::optional<Symbol> found = scope->find(name);
    if (!found) continue;
    const bool is_value = found->kind == Symbol::Kind::kRegister || found->kind == Symbol::Kind::kVariable;
    if (is_value) return found;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> SymbolTable::family_size(std::string_view name) const {
  const NumberedName numbered = split(name);
  if (!numbered.number) return std::nullopt;
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->families.find(numbered.stem);
    if (found != scope->families.end()) return found->second.count;
  }
  return std::nullopt;
}

}  // namespace flashmask::emulator::ptx
