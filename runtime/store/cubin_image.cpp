#include "runtime/store/cubin_image.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "flashmask/error.h"

namespace flashmask {
namespace {

constexpr std::uint16_t kMachineCuda = 190;  // EM_CUDA

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument, why);
}

/// The SM number: in the low byte of the flags up to ABI 7 (CUDA 12), in the second byte since ABI 8 (CUDA 13).
std::optional<int> sm_number(const Elf64_Ehdr& header) {
  switch (header.e_ident[EI_ABIVERSION]) {
    case 7:
      return static_cast<int>(header.e_flags & 0xff);
    case 8:
      return static_cast<int>((header.e_flags >> 8) & 0xff);
    default:
      return std::nullopt;
  }
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

bool CubinImage::holds(std::uint64_t offset, std::uint64_t size) const {
  return offset <= bytes_.size() && size <= bytes_.size() - offset;
}

template <typename Value>
Value CubinImage::read(std::uint64_t offset) const {
  Value value;
  std::memcpy(&value, bytes_.data() + offset, sizeof value);
  return value;
}

CubinImage::CubinImage(std::span<const std::byte> bytes) : bytes_(bytes) {
  if (!holds(0, sizeof header_)) refuse("the cubin is not an ELF file");
  header_ = read<Elf64_Ehdr>(0);
  if (std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0) refuse("the cubin is not an ELF file");
  if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB)
    refuse("the cubin is not a 64-bit little-endian ELF file");
  if (header_.e_machine != kMachineCuda)
    refuse(fmt::format("the ELF file is for machine {}, not for CUDA ({})", header_.e_machine, kMachineCuda));
  if (header_.e_type != ET_EXEC)
    refuse(fmt::format("the cubin has ELF type {}: an executable is needed", header_.e_type));
  const auto sm = sm_number(header_);
  if (!sm) refuse(fmt::format("the cubin has ABI version {}: 7 and 8 are known", header_.e_ident[EI_ABIVERSION]));
  sm_ = *sm;
  check_segments();
  check_sections();
}

void CubinImage::check_segments() const {
  if (header_.e_phnum == 0) return;
  if (header_.e_phentsize != sizeof(Elf64_Phdr) ||
      !holds(header_.e_phoff, std::uint64_t{header_.e_phnum} * sizeof(Elf64_Phdr)))
    refuse("the program headers of the cubin are outside of it");
  for (std::uint64_t i = 0; i < header_.e_phnum; ++i) {
    const auto segment = read<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr));
    if (!holds(segment.p_offset, segment.p_filesz)) refuse("a segment of the cubin is outside of it");
  }
}

void CubinImage::check_sections() {
  if (header_.e_shnum == 0 || header_.e_shentsize != sizeof(Elf64_Shdr) ||
      !holds(header_.e_shoff, std::uint64_t{header_.e_shnum} * sizeof(Elf64_Shdr)))
    refuse("the section headers of the cubin are outside of it");
  for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
    const Elf64_Shdr section = section_header(i);
    if (section.sh_type != SHT_NOBITS && !holds(section.sh_offset, section.sh_size))
      refuse("a section of the cubin is outside of it");
  }
  if (header_.e_shstrndx >= header_.e_shnum) refuse("the cubin has no section names");
  const Section names = section(header_.e_shstrndx);
  names_ = text_of(names.content);
  if (names.type != SHT_STRTAB || names_.empty() || names_.back() != '\0')
    refuse("the section names of the cubin are malformed");
  for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
    if (section(i).name >= names_.size()) refuse("a section of the cubin has a name outside of the table");
  }
}

Elf64_Shdr CubinImage::section_header(std::uint64_t index) const {
  return read<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr));
}

CubinImage::Section CubinImage::section(std::uint64_t index) const {
  const Elf64_Shdr found = section_header(index);
  Section section{.type = found.sh_type, .content = {}, .name = found.sh_name};
  if (found.sh_type != SHT_NOBITS)
    section.content =
        bytes_.subspan(static_cast<std::size_t>(found.sh_offset), static_cast<std::size_t>(found.sh_size));
  return section;
}

bool CubinImage::is_named(const Section& section, std::string_view name) const {
  const std::string_view rest = names_.substr(section.name);
  return rest.size() > name.size() && rest.starts_with(name) && rest[name.size()] == '\0';
}

std::string_view CubinImage::name_of(const Section& section, std::size_t longest) const {
  const std::string_view name = names_.substr(section.name, longest);
  return name.substr(0, name.find('\0'));
}

}  // namespace flashmask
