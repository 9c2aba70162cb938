#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/export.h"

namespace flashmask {

/// A section as its header has it.
struct CubinSection {
  std::string name;
  std::uint32_t type = 0;  ///< SHT_…
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t offset = 0;  ///< bytes into the cubin
  std::uint64_t size = 0;    ///< bytes
  std::uint32_t link = 0;    ///< another section
  std::uint32_t info = 0;
  std::uint64_t alignment = 0;
  std::uint64_t entry_size = 0;
  friend bool operator==(const CubinSection&, const CubinSection&) = default;
};

/// A symbol of a symbol table.
struct CubinSymbol {
  std::string name;
  std::uint8_t info = 0;      ///< type in the lower four bits, binding in the upper
  std::uint8_t other = 0;     ///< visibility in the lowest two bits; ptxas uses the others
  std::uint16_t section = 0;  ///< as st_shndx has it
  std::uint64_t value = 0;
  std::uint64_t size = 0;
  friend bool operator==(const CubinSymbol&, const CubinSymbol&) = default;
};

/// A note of a section of notes.
struct CubinNote {
  std::string section;
  std::string owner;  ///< "NVIDIA Corp"
  std::uint32_t type = 0;
  std::vector<std::byte> content;
  friend bool operator==(const CubinNote&, const CubinNote&) = default;
};

/// What a cubin consists of.
struct CubinListing {
  int sm = 0;               ///< 90 for sm_90 and for sm_90a
  int abi_version = 0;      ///< 7 of CUDA 12, 8 of CUDA 13
  std::uint32_t flags = 0;  ///< of the ELF header
  std::vector<CubinSection> sections;
  std::vector<CubinSymbol> symbols;  ///< of all symbol tables, the null symbol of each included
  std::vector<CubinNote> notes;      ///< of all sections of notes
  friend bool operator==(const CubinListing&, const CubinListing&) = default;
};

/// How many bytes all names of a listing may have. Names may overlap in a table, so a short file could ask for more.
inline constexpr std::uint64_t kMostCubinNameBytes = std::uint64_t{16} << 20;

/// Lists a cubin by the library's own reader. The bytes may be hostile and need not be aligned: every offset is checked
/// before it is followed; symbol tables and notes that overlap are refused. Throws Error{kInvalidArgument} that says
/// what is wrong with them. Pure and thread-safe.
FLASHMASK_API CubinListing list_cubin(std::span<const std::byte> cubin);

/// What two listings differ in, one sentence for each thing, at most `most` of them; empty where they are equal.
FLASHMASK_API std::vector<std::string> differences(const CubinListing& ours, const CubinListing& theirs,
                                                   std::size_t most = 16);

}  // namespace flashmask
