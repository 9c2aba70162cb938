#include "runtime/store/cubin_check.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace flashmask {
namespace {

constexpr std::uint16_t kMachineCuda = 190;  // EM_CUDA
constexpr std::string_view kToolNote = ".note.nv.tkinfo";
constexpr std::string_view kArchitectureOption = "-arch ";

/// Bounds-checked reads; the image need not be aligned.
class Image {
 public:
  explicit Image(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }
  template <typename Value>
  std::optional<Value> read(std::uint64_t offset) const {
    if (!holds(offset, sizeof(Value))) return std::nullopt;
    Value value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::string_view text(std::uint64_t offset, std::uint64_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, static_cast<std::size_t>(size)};
  }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

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

/// The architecture in ptxas' note, as in "-v  -arch sm_90a ", or empty.
std::string_view noted_architecture(std::string_view note) {
  const std::size_t place = note.find(kArchitectureOption);
  if (place == std::string_view::npos) return {};
  note.remove_prefix(place + kArchitectureOption.size());
  return note.substr(0, note.find_first_of(std::string_view(" \0\n", 3)));
}

}  // namespace

std::optional<std::string> refuse_cubin(std::span<const std::byte> cubin, Target target, const std::string& entry) {
  const Image image(cubin);
  const auto header = image.read<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return "the cubin is not an ELF file";
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
    return "the cubin is not a 64-bit little-endian ELF file";
  if (header->e_machine != kMachineCuda)
    return fmt::format("the ELF file is for machine {}, not for CUDA ({})", header->e_machine, kMachineCuda);
  if (header->e_type != ET_EXEC)
    return fmt::format("the cubin has ELF type {}: an executable is needed", header->e_type);

  const auto sm = sm_number(*header);
  if (!sm) return fmt::format("the cubin has ABI version {}: 7 and 8 are known", header->e_ident[EI_ABIVERSION]);
  if (*sm != target.compute_capability)
    return fmt::format("the cubin is for sm_{}: {} was asked for", *sm, to_string(target));

  const std::uint64_t program_bytes = std::uint64_t{header->e_phnum} * sizeof(Elf64_Phdr);
  if (header->e_phnum != 0 &&
      (header->e_phentsize != sizeof(Elf64_Phdr) || !image.holds(header->e_phoff, program_bytes)))
    return "the program headers of the cubin are outside of it";
  for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = image.read<Elf64_Phdr>(header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!image.holds(segment->p_offset, segment->p_filesz)) return "a segment of the cubin is outside of it";
  }

  const std::uint64_t section_bytes = std::uint64_t{header->e_shnum} * sizeof(Elf64_Shdr);
  if (header->e_shnum == 0 || header->e_shentsize != sizeof(Elf64_Shdr) || !image.holds(header->e_shoff, section_bytes))
    return "the section headers of the cubin are outside of it";
  const auto section_at = [&](std::uint64_t i) {
    return *image.read<Elf64_Shdr>(header->e_shoff + i * sizeof(Elf64_Shdr));
  };
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const Elf64_Shdr section = section_at(i);
    if (section.sh_type != SHT_NOBITS && !image.holds(section.sh_offset, section.sh_size))
      return "a section of the cubin is outside of it";
  }
  if (header->e_shstrndx >= header->e_shnum) return "the cubin has no section names";
  const Elf64_Shdr names = section_at(header->e_shstrndx);
  if (names.sh_type != SHT_STRTAB || names.sh_size == 0 || image.text(names.sh_offset, names.sh_size).back() != '\0')
    return "the section names of the cubin are malformed";

  const std::string code_name = ".text." + entry;
  bool has_code = false;
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const Elf64_Shdr section = section_at(i);
    if (section.sh_name >= names.sh_size) return "a section of the cubin has a name outside of the table";
    // Only as much of a name as could matter, so that a hostile table of names costs no time.
    std::string_view name = image.text(names.sh_offset + section.sh_name,
                                       std::min<std::uint64_t>(names.sh_size - section.sh_name, code_name.size() + 64));
    name = name.substr(0, name.find('\0'));
    if (name == code_name && section.sh_type == SHT_PROGBITS && section.sh_size > 0) has_code = true;
    if (name == kToolNote && section.sh_type != SHT_NOBITS) {
      const std::string_view noted = noted_architecture(image.text(section.sh_offset, section.sh_size));
      if (!noted.empty() && noted != to_string(target))
        return fmt::format("ptxas made the cubin for {}: {} was asked for", noted, to_string(target));
    }
  }
  if (!has_code) return fmt::format("the cubin has no code of {}", entry);
  return std::nullopt;
}

}  // namespace flashmask
