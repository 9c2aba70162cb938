#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "flashmask/cubin_listing.h"

namespace flashmask::llvm_cubin {

/// What LLVM's object library says of a cubin: a listing, or why there is none.
struct Reading {
  std::string version;  ///< of LLVM
  std::optional<CubinListing> listing;
  std::string refusal;  ///< empty where there is a listing
};

/// Lists a cubin by LLVM's reader, as list_cubin() does by the library's. Whether the bytes are a well-formed ELF file
/// is LLVM's judgement; that it is a cubin (machine, ABI) and how much it may list are the rules of list_cubin(). None
/// where the command was built without LLVM.
std::optional<Reading> read(std::span<const std::byte> cubin);

}  // namespace flashmask::llvm_cubin
