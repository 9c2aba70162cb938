#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "flashmask/error.h"
#include "flashmask/flashmask.h"
#include "flashmask/runtime.h"

/// What every function of the C interface needs at its border: exceptions become statuses, structs are read and written
/// as far as both sides know them, and any int that a caller gives is judged before it is an enumerator.
namespace flashmask::c_abi {

fm_status status_of(ErrorCode code);

/// Keeps what a failing call of this thread says for fm_last_error(), and gives the status back.
fm_status remember(fm_status status, const char* message, const char* hint) noexcept;

/// Runs the body of a function; no exception gets past it.
template <typename Body>
fm_status guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return FM_OK;
  } catch (const Error& error) {
    return remember(status_of(error.code()), error.what(), error.hint().c_str());
  } catch (const std::bad_alloc&) {
    return remember(FM_OUT_OF_MEMORY, "out of host memory", "");
  } catch (const std::exception& error) {
    return remember(FM_INTERNAL, error.what(), "");
  } catch (...) {
    return remember(FM_INTERNAL, "an unknown exception", "");
  }
}

[[noreturn]] inline void refuse(const std::string& message, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, message, hint);
}

template <typename Pointee>
Pointee& needed(Pointee* pointer, const char* name) {
  if (!pointer) refuse(fmt::format("{} is null", name));
  return *pointer;
}

inline std::size_t checked_size(std::size_t size, const char* name) {
  if (size < sizeof(std::size_t))
    refuse(fmt::format("{}.struct_size = {}: it must be sizeof({})", name, size, name),
           fmt::format("Set it, or let fm_init_*() fill the struct: {0} x = {{sizeof({0})}};", name));
  return size;
}

/// A caller's struct over the defaults: missing fields of an older caller keep theirs; what a newer caller says beyond
/// this library's struct must be zero, for it cannot be heeded.
template <typename Struct>
Struct taken(const Struct* given, const Struct& defaults, const char* name) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  const std::size_t size = checked_size(needed(given, name).struct_size, name);
  Struct result = defaults;
  std::memcpy(static_cast<void*>(&result), given, std::min(size, sizeof(Struct)));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  // No struct is ever near a page; a larger size is garbage and its bytes are not looked at.
  if (size > 4096 ||
      std::any_of(bytes + std::min(size, sizeof(Struct)), bytes + size, [](unsigned char b) { return b != 0; }))
    refuse(
        fmt::format("{} has {} bytes with fields that this library, version {}, does not know", name, size, version()),
        "Use a library as new as the header that the caller was built with.");
  result.struct_size = sizeof(Struct);
  return result;
}

/// Fills a caller's struct as far as the caller knows it.
template <typename Struct>
void give(Struct* into, Struct filled, const char* name) {
  const std::size_t size = checked_size(needed(into, name).struct_size, name);
  filled.struct_size = size;
  std::memcpy(static_cast<void*>(into), &filled, std::min(size, sizeof(Struct)));
}

/// Fills a caller's struct, whose struct_size need not be set yet, with defaults.
template <typename Struct>
void initialise(Struct* into, std::size_t struct_size, Struct defaults, const char* name) {
  defaults.struct_size = checked_size(struct_size, name);
  if (struct_size > 4096) refuse(fmt::format("struct_size = {}: it must be sizeof({})", struct_size, name));
  std::memset(static_cast<void*>(&needed(into, name)), 0, struct_size);
  std::memcpy(static_cast<void*>(into), &defaults, std::min(struct_size, sizeof(Struct)));
}

template <std::size_t Size>
void copy_text(char (&into)[Size], const std::string& text) {
  const std::size_t length = std::min(text.size(), Size - 1);
  std::memcpy(into, text.data(), length);
  into[length] = '\0';
}

/// The enumerator of a C value, which may be any integer.
template <typename Enum>
Enum enumerator(int value, int last, const char* name) {
  if (value < 0 || value > last) refuse(fmt::format("{} = {}: 0 to {} is allowed", name, value, last));
  return static_cast<Enum>(value);
}

inline std::string text_or_empty(const char* text) {
  return text ? text : "";
}

inline Target target_of(const char* text) {
  const auto target = parse_target(text);
  if (!target) refuse(fmt::format("target \"{}\" is unknown: {} are allowed", text, known_targets()));
  return *target;
}

}  // namespace flashmask::c_abi
