#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace flashmask::emulator::ptx {

/// A PTX data type, as it stands in an opcode or a declaration.
enum class Type : std::uint8_t {
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kB128,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kF16x2,
  kBf16,
  kBf16x2,
  kTf32,
  kF32,
  kF64,
};

/// Bytes of one value; 0 for a predicate.
std::uint32_t size_of(Type type);
/// "u32" and the like, without the dot.
std::string_view name_of(Type type);
/// The type called `name` (without the dot), if there is one.
std::optional<Type> type_named(std::string_view name);
/// True for the floating types, packed ones included.
bool is_float(Type type);
/// True for .s8 to .s64.
bool is_signed(Type type);

/// A PTX state space. Generic stands for an instruction that names none.
enum class Space : std::uint8_t {
  kGeneric,
  kRegister,
  kParam,
  kConst,
  kGlobal,
  kShared,  ///< of this CTA
  kLocal,
  kSharedCluster,  ///< of any CTA of the cluster
};

/// "shared" and the like.
std::string_view name_of(Space space);
/// The space called `name` (without the dot, "shared::cta", "shared::cluster" and "param::entry" included), if there is
/// one. The parameters of device functions, "param::func", are none.
std::optional<Space> space_named(std::string_view name);

}  // namespace flashmask::emulator::ptx
