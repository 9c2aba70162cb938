#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emulator/ptx/lexer.h"

namespace flashmask::emulator::ptx {

/// What a name of a kernel stands for. `index` counts registers, instructions or lists of branch targets.
struct Symbol {
  enum class Kind : std::uint8_t { kRegister, kVariable, kLabel, kTargets };
  Kind kind = Kind::kVariable;
  std::uint32_t index = 0;
};

/// A label that is used, perhaps before it stands anywhere.
struct LabelUse {
  std::string_view name;
  Position position;
  bool in_list = false;         ///< of branch targets; otherwise in an instruction
  std::uint32_t container = 0;  ///< which list or instruction
  std::uint32_t entry = 0;      ///< which element or operand of it
};

/// The names of one kernel in nested blocks: an inner one hides an outer one, and a block's own end with it. The table
/// borrows them.
class SymbolTable {
 public:
  /// Opens a block. Throws ParseError when blocks are nested too deeply.
  void open(Position position);
  /// Closes the innermost block. Labels that were used in it and stand in it are appended to resolved(); the others
  /// are left to the block around it, and those that stand nowhere throw ParseError.
  void close();
  bool is_open() const { return !scopes_.empty(); }

  /// Throws ParseError when the innermost block has the name already.
  void declare(std::string_view name, Symbol symbol, Position position);
  /// %r<8>: registers `first` to `first` + 7.
  void declare_family(std::string_view stem, std::uint32_t first, std::uint32_t count, Position position);
  void use_label(const LabelUse& use) { scopes_.back().uses.push_back(use); }

  /// The register or variable that `name` stands for here.
  std::optional<Symbol> find(std::string_view name) const;
  /// How many registers the family that `name` would belong to has, if there is one.
  std::optional<std::uint32_t> family_size(std::string_view name) const;
  const std::vector<std::pair<LabelUse, Symbol>>& resolved() const { return resolved_; }

 private:
  struct Family {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  struct Scope {
    std::unordered_map<std::string_view, Symbol> names;
    std::unordered_map<std::string_view, Family> families;
    std::vector<LabelUse> uses;

    std::optional<Symbol> find(std::string_view name) const;
  };

  std::vector<Scope> scopes_;
  std::vector<std::pair<LabelUse, Symbol>> resolved_;
};

}  // namespace flashmask::emulator::ptx
