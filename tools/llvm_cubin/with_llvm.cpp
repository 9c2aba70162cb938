// The only file that sees LLVM. It may be compiled without RTTI, as LLVM often is, and throws nothing of its own.
#include <llvm/Config/llvm-config.h>
#include <llvm/Object/ELF.h>

#include <utility>

#include "tools/llvm_cubin/llvm_cubin.h"

namespace flashmask::llvm_cubin {
namespace {

using File = llvm::object::ELF64LEFile;
using Header = llvm::object::ELF64LE::Ehdr;
using SectionHeader = llvm::object::ELF64LE::Shdr;

std::string text_of(llvm::StringRef text) {
  return {text.data(), text.size()};
}

/// The SM number lies in the lowest byte of the flags up to ABI 7, in the second byte since ABI 8.
int sm_of(const Header& header) {
  const std::uint32_t flags = header.e_flags;
  return static_cast<int>(header.e_ident[llvm::ELF::EI_ABIVERSION] == 7 ? flags & 0xff : flags >> 8 & 0xff);
}

class Reader {
 public:
  explicit Reader(llvm::StringRef bytes) : bytes_(bytes) {}

  Reading read() {
    Reading reading{.version = LLVM_VERSION_STRING, .listing = std::nullopt, .refusal = ""};
    if (list()) {
      reading.listing = std::move(listing_);
    } else {
      reading.refusal = std::move(refusal_);
    }
    return reading;
  }

 private:
  bool refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
  }
  bool refuse(llvm::Error error) { return refuse(llvm::toString(std::move(error))); }

  /// Takes the value out of what LLVM returned; false, and the refusal is set, where there is none.
  template <typename Value>
  bool take(llvm::Expected<Value> from, Value& to) {
    if (!from) return refuse(from.takeError());
    to = std::move(*from);
    return true;
  }

  bool list() {
    llvm::Expected<File> file = File::create(bytes_);
    if (!file) return refuse(file.takeError());
    return check_header(file->getHeader()) && check_segments(*file) && add_sections(*file) && add_contents(*file);
  }

  bool check_header(const Header& header) {
    if (!header.checkMagic()) return refuse("the cubin is not an ELF file");
    if (header.getFileClass() != llvm::ELF::ELFCLASS64 || header.getDataEncoding() != llvm::ELF::ELFDATA2LSB) {
      return refuse("the cubin is not a 64-bit little-endian ELF file");
    }
    if (header.e_machine != llvm::ELF::EM_CUDA) return refuse("the ELF file is not for CUDA");
    if (header.e_type != llvm::ELF::ET_EXEC) return refuse("the cubin is not executable");
    const int abi = header.e_ident[llvm::ELF::EI_ABIVERSION];
    if (abi != 7 && abi != 8) return refuse("the cubin has an ABI version that is not known");
    listing_.sm = sm_of(header);
    listing_.abi_version = abi;
    listing_.flags = header.e_flags;
    return true;
  }

  bool check_segments(const File& file) {
    llvm::ArrayRef<llvm::object::ELF64LE::Phdr> segments;
    if (file.getHeader().e_phnum == 0) return true;
    if (!take(file.program_headers(), segments)) return false;
    llvm::ArrayRef<std::uint8_t> content;
    for (const auto& segment : segments) {
      if (!take(file.getSegmentContents(segment), content)) return false;
    }
    return true;
  }

  bool add_sections(const File& file) {
    if (!take(file.sections(), sections_)) return false;
    // Of ELF's ways to leave them out, or to have more than 65279 of them, a cubin uses none.
    if (sections_.empty() || file.getHeader().e_shnum == 0) return refuse("the cubin has no section headers");
    const std::uint32_t table = file.getHeader().e_shstrndx;
    if (table == llvm::ELF::SHN_UNDEF || table == llvm::ELF::SHN_XINDEX)
      return refuse("the cubin has no section names");
    llvm::StringRef names;
    if (!take(file.getSectionStringTable(sections_), names)) return false;
    for (const SectionHeader& section : sections_) {
      llvm::ArrayRef<std::uint8_t> content;
      if (section.sh_type != llvm::ELF::SHT_NOBITS && !take(file.getSectionContents(section), content)) return false;
      llvm::StringRef name;
      if (!take(file.getSectionName(section, names), name) || !count_name(name)) return false;
      listing_.sections.push_back({.name = text_of(name),
                                   .type = section.sh_type,
                                   .flags = section.sh_flags,
                                   .address = section.sh_addr,
                                   .offset = section.sh_offset,
                                   .size = section.sh_size,
                                   .link = section.sh_link,
                                   .info = section.sh_info,
                                   .alignment = section.sh_addralign,
                                   .entry_size = section.sh_entsize});
    }
    return true;
  }

  bool add_contents(const File& file) {
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      const std::uint32_t type = sections_[i].sh_type;
      const bool has_symbols = type == llvm::ELF::SHT_SYMTAB || type == llvm::ELF::SHT_DYNSYM;
      if (has_symbols && !add_symbols(file, sections_[i])) return false;
      if (type == llvm::ELF::SHT_NOTE && !add_notes(file, i)) return false;
    }
    return true;
  }

  bool add_symbols(const File& file, const SectionHeader& section) {
    llvm::ArrayRef<llvm::object::ELF64LE::Sym> symbols;
    llvm::StringRef names;
    if (!take(file.symbols(&section), symbols) || !count_table(section.sh_size) ||
        !take(file.getStringTableForSymtab(section, sections_), names)) {
      return false;
    }
    for (const auto& symbol : symbols) {
      llvm::StringRef name;
      if (!take(symbol.getName(names), name)) return false;
      if (symbol.st_name == 0) name = llvm::StringRef();  // which stands for no name, whatever the table has there
      if (!count_name(name)) return false;
      listing_.symbols.push_back({.name = text_of(name),
                                  .info = symbol.st_info,
                                  .other = symbol.st_other,
                                  .section = symbol.st_shndx,
                                  .value = symbol.st_value,
                                  .size = symbol.st_size});
    }
    return true;
  }

  bool add_notes(const File& file, std::size_t index) {
    const SectionHeader& section = sections_[index];
    if (!count_table(section.sh_size)) return false;
    const std::size_t alignment = section.sh_addralign == 8 ? 8 : 4;
    bool counted = true;
    llvm::Error error = llvm::Error::success();
    for (const auto& note : file.notes(section, error)) {
      if (!counted) continue;  // to the end all the same, where the error is asked for
      const std::string& name = listing_.sections[index].name;
      counted = count_name(name);
      const llvm::ArrayRef<std::uint8_t> content = note.getDesc(alignment);
      const auto* bytes = reinterpret_cast<const std::byte*>(content.data());
      listing_.notes.push_back({.section = name,
                                .owner = text_of(note.getName()),
                                .type = note.getType(),
                                .content = {bytes, bytes + content.size()}});
    }
    if (error) return refuse(std::move(error));
    return counted;
  }

  bool count_name(llvm::StringRef name) {
    if (name.size() > name_bytes_left_) return refuse("the names in the cubin take too many bytes");
    name_bytes_left_ -= name.size();
    return true;
  }

  bool count_table(std::uint64_t bytes) {
    if (bytes > table_bytes_left_) return refuse("symbol tables or notes of the cubin overlap");
    table_bytes_left_ -= bytes;
    return true;
  }

  llvm::StringRef bytes_;
  llvm::ArrayRef<SectionHeader> sections_;
  std::uint64_t table_bytes_left_ = bytes_.size();
  std::uint64_t name_bytes_left_ = kMostCubinNameBytes;
  CubinListing listing_;
  std::string refusal_;
};

}  // namespace

std::optional<Reading> read(std::span<const std::byte> cubin) {
  return Reader({reinterpret_cast<const char*>(cubin.data()), cubin.size()}).read();
}

}  // namespace flashmask::llvm_cubin
