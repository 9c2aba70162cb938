#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace flashmask {

/// The sections of an executable cubin, as views into its bytes, which must outlive it. The bytes may be hostile and
/// need not be aligned: every offset is checked before it is followed. Immutable.
class CubinImage {
 public:
  struct Section {
    std::uint32_t type = SHT_NULL;
    std::span<const std::byte> content;  ///< empty for SHT_NOBITS
    std::uint32_t name = 0;              ///< where its name begins in the table
  };

  /// Looks at the ELF header, the CUDA machine and ABI (7 and 8), and the tables of segments and sections. Throws
  /// Error{kInvalidArgument} that says what is wrong with the bytes.
  explicit CubinImage(std::span<const std::byte> bytes);

  /// 90 for sm_90 and for sm_90a.
  int sm() const { return sm_; }
  const Elf64_Ehdr& header() const { return header_; }
  std::uint64_t section_count() const { return header_.e_shnum; }
  Section section(std::uint64_t index) const;
  Elf64_Shdr section_header(std::uint64_t index) const;
  /// Costs no more than `name` is long, however long the section's own name is.
  bool is_named(const Section& section, std::string_view name) const;
  /// Of the section's name, so many bytes at most.
  std::string_view name_of(const Section& section, std::size_t longest) const;

 private:
  bool holds(std::uint64_t offset, std::uint64_t size) const;
  template <typename Value>
  Value read(std::uint64_t offset) const;
  void check_segments() const;
  void check_sections();

  std::span<const std::byte> bytes_;
  Elf64_Ehdr header_{};
  int sm_ = 0;
  std::string_view names_;  ///< the table of section names, with its closing NUL
};

}  // namespace flashmask
