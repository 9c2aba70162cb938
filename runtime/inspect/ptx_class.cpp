#include "runtime/inspect/ptx_class.h"

#include <algorithm>
#include <optional>
#include <span>
#include <unordered_map>

#include "emulator/ptx/type.h"

namespace flashmask {
namespace {

using emulator::ptx::Instruction;
using emulator::ptx::Space;
using emulator::ptx::Type;

bool has(const Instruction& instruction, std::string_view modifier) {
  return std::ranges::find(instruction.modifiers, modifier) != instruction.modifiers.end();
}

/// What works on memory, by the first state space that it names: that of the address, or of the destination of a copy.
PtxClass memory_class(const Instruction& instruction) {
  for (const std::string& each : instruction.modifiers) {
    const std::optional<Space> space = emulator::ptx::space_named(each);
    if (!space) continue;
    switch (*space) {
      case Space::kShared:
      case Space::kSharedCluster:
        return PtxClass::kSharedMemory;
      case Space::kGlobal:
        return PtxClass::kGlobalMemory;
      default:
        return PtxClass::kOtherMemory;
    }
  }
  return has(instruction, "param::func") ? PtxClass::kOtherMemory : PtxClass::kGlobalMemory;
}

/// What works on values, by the last type that it names, which is that of its sources.
PtxClass arithmetic_class(const Instruction& instruction) {
  for (auto each = instruction.modifiers.rbegin(); each != instruction.modifiers.rend(); ++each) {
    if (each->ends_with("f32x2")) return PtxClass::kFloat;
    const std::optional<Type> type = emulator::ptx::type_named(*each);
    if (!type) continue;
    if (*type == Type::kPred) return PtxClass::kPredicate;
    return emulator::ptx::is_float(*type) ? PtxClass::kFloat : PtxClass::kInteger;
  }
  return PtxClass::kInteger;
}

/// An opcode with a group of its own of what waits and orders: cp.async.wait_group, wgmma.fence.
bool is_ordering(const Instruction& instruction) {
  constexpr std::string_view kWords[] = {"commit_group", "wait_group", "wait_all", "fence",
                                         "mbarrier",     "commit",     "wait"};
  const std::size_t named = std::min<std::size_t>(instruction.modifiers.size(), 3);
  return std::ranges::any_of(std::span(instruction.modifiers).first(named), [&](const std::string& modifier) {
    return std::ranges::find(kWords, modifier) != std::end(kWords);
  });
}

PtxClass wmma_class(const Instruction& instruction) {
  return has(instruction, "mma") ? PtxClass::kMatrixProduct : memory_class(instruction);
}

PtxClass tcgen05_class(const Instruction& instruction) {
  if (has(instruction, "mma")) return PtxClass::kMatrixProduct;
  if (has(instruction, "cp")) return PtxClass::kAsyncCopy;
  return is_ordering(instruction) ? PtxClass::kBarrier : PtxClass::kOther;
}

PtxClass async_class(const Instruction& instruction, PtxClass otherwise) {
  return is_ordering(instruction) ? PtxClass::kBarrier : otherwise;
}

/// Of opcodes whose class does not depend on modifiers.
const std::unordered_map<std::string_view, PtxClass>& plain_classes() {
  using enum PtxClass;
  static const std::unordered_map<std::string_view, PtxClass> classes = {
      {"mma", kMatrixProduct},
      {"ldmatrix", kSharedMemory},
      {"stmatrix", kSharedMemory},
      {"movmatrix", kExchange},
      {"bar", kBarrier},
      {"barrier", kBarrier},
      {"mbarrier", kBarrier},
      {"fence", kBarrier},
      {"membar", kBarrier},
      {"griddepcontrol", kBarrier},
      {"clusterlaunchcontrol", kBarrier},
      {"cvt", kConversion},
      {"ex2", kSpecialFunction},
      {"lg2", kSpecialFunction},
      {"rcp", kSpecialFunction},
      {"rsqrt", kSpecialFunction},
      {"sqrt", kSpecialFunction},
      {"sin", kSpecialFunction},
      {"cos", kSpecialFunction},
      {"tanh", kSpecialFunction},
      {"setp", kPredicate},
      {"set", kPredicate},
      {"selp", kPredicate},
      {"slct", kPredicate},
      {"shfl", kExchange},
      {"vote", kExchange},
      {"match", kExchange},
      {"activemask", kExchange},
      {"elect", kExchange},
      {"redux", kExchange},
      {"mov", kMove},
      {"cvta", kMove},
      {"mapa", kMove},
      {"getctarank", kMove},
      {"isspacep", kPredicate},
      {"bra", kBranch},
      {"brx", kBranch},
      {"ret", kBranch},
      {"exit", kBranch},
      {"trap", kBranch},
      {"prefetch", kGlobalMemory},
      {"prefetchu", kGlobalMemory},
      {"ldu", kGlobalMemory},
      {"applypriority", kGlobalMemory},
      {"discard", kGlobalMemory},
      {"fma", kFloat},
      {"copysign", kFloat},
      {"testp", kPredicate},
  };
  return classes;
}

bool is_arithmetic(std::string_view opcode) {
  constexpr std::string_view kOpcodes[] = {
      "abs",  "add",  "addc", "and", "bfe",  "bfi",   "bfind", "bmsk", "brev", "clz",   "cnot", "div", "dp2a",
      "dp4a", "fns",  "lop3", "mad", "madc", "mad24", "max",   "min",  "mul",  "mul24", "neg",  "not", "or",
      "popc", "prmt", "rem",  "sad", "shf",  "shl",   "shr",   "sub",  "subc", "szext", "xor"};
  return std::ranges::find(kOpcodes, opcode) != std::end(kOpcodes);
}

}  // namespace

PtxClass class_of(const Instruction& instruction) {
  const std::string_view opcode = instruction.opcode;
  if (const auto found = plain_classes().find(opcode); found != plain_classes().end()) return found->second;
  if (is_arithmetic(opcode)) return arithmetic_class(instruction);
  if (opcode == "wmma") return wmma_class(instruction);
  if (opcode == "tcgen05") return tcgen05_class(instruction);
  if (opcode == "wgmma") return async_class(instruction, PtxClass::kMatrixProduct);
  if (opcode == "cp") return async_class(instruction, PtxClass::kAsyncCopy);
  if (opcode == "ld" || opcode == "st" || opcode == "atom" || opcode == "red") {
    return has(instruction, "async") ? PtxClass::kAsyncCopy : memory_class(instruction);
  }
  return PtxClass::kOther;
}

std::string_view to_string(PtxClass ptx_class) {
  switch (ptx_class) {
    case PtxClass::kMatrixProduct:
      return "matrix product";
    case PtxClass::kAsyncCopy:
      return "async copy";
    case PtxClass::kSharedMemory:
      return "shared memory";
    case PtxClass::kGlobalMemory:
      return "global memory";
    case PtxClass::kOtherMemory:
      return "other memory";
    case PtxClass::kBarrier:
      return "barrier";
    case PtxClass::kConversion:
      return "conversion";
    case PtxClass::kSpecialFunction:
      return "special function";
    case PtxClass::kFloat:
      return "float";
    case PtxClass::kInteger:
      return "integer";
    case PtxClass::kPredicate:
      return "predicate";
    case PtxClass::kExchange:
      return "exchange";
    case PtxClass::kMove:
      return "move";
    case PtxClass::kBranch:
      return "branch";
    case PtxClass::kOther:
      return "other";
  }
  return "?";
}

}  // namespace flashmask
