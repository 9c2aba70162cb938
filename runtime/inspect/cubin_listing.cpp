#include "flashmask/cubin_listing.h"

#include <elf.h>
#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "runtime/store/cubin_image.h"

namespace flashmask {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument, why);
}

template <typename Value>
Value read(std::span<const std::byte> bytes) {
  Value value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// The bytes of a table of names, each closed by a NUL.
using Names = std::span<const std::byte>;

std::uint64_t rounded_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

class Lister {
 public:
  explicit Lister(std::span<const std::byte> cubin) : image_(cubin), table_bytes_left_(cubin.size()) {}

  CubinListing list() {
    listing_.sm = image_.sm();
    listing_.abi_version = image_.header().e_ident[EI_ABIVERSION];
    listing_.flags = image_.header().e_flags;
    const Names names = image_.section(image_.header().e_shstrndx).content;
    for (std::uint64_t i = 0; i < image_.section_count(); ++i) add_section(i, names);
    for (std::uint64_t i = 0; i < image_.section_count(); ++i) {
      const std::uint32_t type = listing_.sections[i].type;
      if (type == SHT_SYMTAB || type == SHT_DYNSYM) add_symbols(i);
      if (type == SHT_NOTE) add_notes(i);
    }
    return std::move(listing_);
  }

 private:
  /// The name at `offset`, which lies in the table; the first place stands for no name.
  std::string name_at(Names names, std::uint32_t offset) {
    if (offset == 0) return "";
    const Names rest = names.subspan(offset);
    return counted({reinterpret_cast<const char*>(rest.data()),
                    ::strnlen(reinterpret_cast<const char*>(rest.data()), rest.size())});
  }

  std::string counted(std::string_view name) {
    if (name.size() > name_bytes_left_) {
      refuse(fmt::format("the names in the cubin take more than {} bytes", kMostCubinNameBytes));
    }
    name_bytes_left_ -= name.size();
    return std::string(name);
  }

  /// Tables that do not overlap are not larger than the cubin, all of them together.
  void count_table(std::uint64_t bytes) {
    if (bytes > table_bytes_left_) refuse("symbol tables or notes of the cubin overlap");
    table_bytes_left_ -= bytes;
  }

  void add_section(std::uint64_t index, Names names) {
    const Elf64_Shdr header = image_.section_header(index);
    listing_.sections.push_back({.name = name_at(names, header.sh_name),
                                 .type = header.sh_type,
                                 .flags = header.sh_flags,
                                 .address = header.sh_addr,
                                 .offset = header.sh_offset,
                                 .size = header.sh_size,
                                 .link = header.sh_link,
                                 .info = header.sh_info,
                                 .alignment = header.sh_addralign,
                                 .entry_size = header.sh_entsize});
  }

  Names linked_names(std::uint64_t index) const {
    const std::uint32_t link = listing_.sections[index].link;
    if (link >= image_.section_count()) refuse(fmt::format("the names of symbol table {} are in no section", index));
    const CubinImage::Section names = image_.section(link);
    if (names.type != SHT_STRTAB || names.content.empty() || names.content.back() != std::byte{0}) {
      refuse(fmt::format("the names of symbol table {} are malformed", index));
    }
    return names.content;
  }

  void add_symbols(std::uint64_t index) {
    const std::span<const std::byte> content = image_.section(index).content;
    if (listing_.sections[index].entry_size != sizeof(Elf64_Sym) || content.size() % sizeof(Elf64_Sym) != 0) {
      refuse(fmt::format("symbol table {} is no sequence of symbols of {} bytes", index, sizeof(Elf64_Sym)));
    }
    count_table(content.size());
    const Names names = linked_names(index);
    for (std::size_t at = 0; at < content.size(); at += sizeof(Elf64_Sym)) {
      const auto symbol = read<Elf64_Sym>(content.subspan(at));
      if (symbol.st_name >= names.size())
        refuse(fmt::format("a symbol of table {} has a name outside of the names", index));
      listing_.symbols.push_back({.name = name_at(names, symbol.st_name),
                                  .info = symbol.st_info,
                                  .other = symbol.st_other,
                                  .section = symbol.st_shndx,
                                  .value = symbol.st_value,
                                  .size = symbol.st_size});
    }
  }

  void add_notes(std::uint64_t index) {
    const CubinSection& section = listing_.sections[index];
    if (section.alignment != 0 && section.alignment != 1 && section.alignment != 4 && section.alignment != 8) {
      refuse(
          fmt::format("the notes of section {} are aligned to {} bytes: 4 or 8 are known", index, section.alignment));
    }
    const std::uint64_t alignment = section.alignment == 8 ? 8 : 4;
    std::span<const std::byte> content = image_.section(index).content;
    count_table(content.size());
    while (!content.empty()) {
      if (content.size() < sizeof(Elf64_Nhdr)) refuse(fmt::format("a note goes beyond section {}", index));
      const auto header = read<Elf64_Nhdr>(content);
      const std::uint64_t begin = rounded_up(sizeof header + std::uint64_t{header.n_namesz}, alignment);
      const std::uint64_t end = begin + rounded_up(header.n_descsz, alignment);
      if (end > content.size()) refuse(fmt::format("a note goes beyond section {}", index));
      add_note(section.name, header, content.subspan(sizeof header), content.subspan(begin, header.n_descsz));
      content = content.subspan(end);
    }
  }

  void add_note(const std::string& section, const Elf64_Nhdr& header, std::span<const std::byte> owner,
                std::span<const std::byte> content) {
    const std::size_t length = header.n_namesz == 0 ? 0 : header.n_namesz - 1;  // its NUL is counted too
    listing_.notes.push_back({.section = counted(section),
                              .owner = std::string(reinterpret_cast<const char*>(owner.data()), length),
                              .type = header.n_type,
                              .content = {content.begin(), content.end()}});
  }

  CubinImage image_;
  std::uint64_t table_bytes_left_;
  std::uint64_t name_bytes_left_ = kMostCubinNameBytes;
  CubinListing listing_;
};

}  // namespace

CubinListing list_cubin(std::span<const std::byte> cubin) {
  return Lister(cubin).list();
}

}  // namespace flashmask
