#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashmask/cubin_listing.h"

namespace flashmask::command {

/// A cubin as the library's reader lists it, and what LLVM's reader says to that.
struct CubinReport {
  CubinListing listing;
  std::size_t bytes = 0;
  std::optional<std::string> llvm_version;  ///< none where the command was built without LLVM
  std::vector<std::string> disagreements;   ///< empty where both read the same, or there is one reader
};

/// Reads a cubin by both readers. Throws Error: kInvalidArgument for bytes that no reader takes for a cubin, kInternal
/// where only LLVM does.
CubinReport report_cubin(std::span<const std::byte> cubin);

std::string cubin_text(const CubinReport& report);
nlohmann::ordered_json cubin_json(const CubinReport& report);

/// Throws Error{kInternal} with the first thing that the readers see differently, if there is one.
void require_agreement(const CubinReport& report);

}  // namespace flashmask::command
