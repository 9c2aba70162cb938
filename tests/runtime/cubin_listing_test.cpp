#include "flashmask/cubin_listing.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "runtime/compile/compiler.h"

namespace flashmask {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::vector<std::byte>& cubin() {
  static const std::vector<std::byte> made =
      compile::Compiler(Policy::from_environment())
          .compile(
              "extern \"C\" __global__ void kernel(int* out) { __shared__ int s[32]; s[threadIdx.x] = out[0]; "
              "out[1] = s[31 - threadIdx.x]; }",
              "kernel", {90, true})
          .cubin;
  return made;
}

template <typename Value>
Value read(const std::vector<std::byte>& bytes, std::uint64_t at) {
  Value value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename Value>
void write(std::vector<std::byte>& bytes, std::uint64_t at, const Value& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// The place of the header of the first section of a type.
std::uint64_t header_of(const std::vector<std::byte>& bytes, std::uint32_t type) {
  const auto header = read<Elf64_Ehdr>(bytes, 0);
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const std::uint64_t at = header.e_shoff + i * sizeof(Elf64_Shdr);
    if (read<Elf64_Shdr>(bytes, at).sh_type == type) return at;
  }
  throw std::logic_error("no such section");
}

/// What is wrong with the cubin once the header of the first section of `type` is changed.
std::string refusal(std::uint32_t type, const std::function<void(std::vector<std::byte>&, Elf64_Shdr&)>& change) {
  std::vector<std::byte> changed = cubin();
  const std::uint64_t at = header_of(changed, type);
  auto section = read<Elf64_Shdr>(changed, at);
  change(changed, section);
  write(changed, at, section);
  try {
    list_cubin(changed);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(CubinListing, HasTheSectionsSymbolsAndNotesOfAKernel) {
  const CubinListing listing = list_cubin(cubin());
  EXPECT_EQ(listing.sm, 90);
  EXPECT_THAT(listing.sections, SizeIs(read<Elf64_Ehdr>(cubin(), 0).e_shnum));
  EXPECT_EQ(listing.sections[0], CubinSection{});
  const auto code = std::ranges::find(listing.sections, ".text.kernel", &CubinSection::name);
  ASSERT_NE(code, listing.sections.end());
  EXPECT_EQ(code->type, SHT_PROGBITS);
  EXPECT_EQ(code->flags & SHF_EXECINSTR, SHF_EXECINSTR);
  EXPECT_EQ(code->size % 128, 0u);
  const auto kernel = std::ranges::find(listing.symbols, "kernel", &CubinSymbol::name);
  ASSERT_NE(kernel, listing.symbols.end());
  EXPECT_EQ(ELF64_ST_TYPE(kernel->info), STT_FUNC);
  EXPECT_EQ(kernel->size, code->size);
  EXPECT_EQ(kernel->section, code - listing.sections.begin());
  const auto tool = std::ranges::find(listing.notes, ".note.nv.tkinfo", &CubinNote::section);
  ASSERT_NE(tool, listing.notes.end());
  EXPECT_EQ(tool->owner, "NVIDIA Corp");
  const std::string content(reinterpret_cast<const char*>(tool->content.data()), tool->content.size());
  EXPECT_THAT(content, HasSubstr("-arch sm_90a"));
}

TEST(CubinListing, NeedsNoAlignment) {
  std::vector<std::byte> shifted(1);
  shifted.insert(shifted.end(), cubin().begin(), cubin().end());
  EXPECT_EQ(list_cubin(std::span(shifted).subspan(1)), list_cubin(cubin()));
}

TEST(CubinListing, MalformedTablesAreRefusedWithWhatIsWrong) {
  EXPECT_THAT(refusal(SHT_SYMTAB, [](auto&, Elf64_Shdr& section) { section.sh_entsize = 16; }),
              HasSubstr("no sequence of symbols"));
  EXPECT_THAT(refusal(SHT_SYMTAB, [](auto&, Elf64_Shdr& section) { --section.sh_size; }),
              HasSubstr("no sequence of symbols"));
  EXPECT_THAT(refusal(SHT_SYMTAB, [](auto&, Elf64_Shdr& section) { section.sh_link = 1000; }),
              HasSubstr("in no section"));
  EXPECT_THAT(refusal(SHT_SYMTAB, [](auto&, Elf64_Shdr& section) { section.sh_link = 0; }), HasSubstr("malformed"));
  EXPECT_THAT(
      refusal(SHT_SYMTAB, [](auto& bytes, Elf64_Shdr& section) { write(bytes, section.sh_offset, 0x7fffffff); }),
      HasSubstr("a name outside"));
  EXPECT_THAT(refusal(SHT_NOTE, [](auto&, Elf64_Shdr& section) { section.sh_addralign = 16; }),
              HasSubstr("aligned to 16 bytes"));
  EXPECT_THAT(refusal(SHT_NOTE, [](auto&, Elf64_Shdr& section) { section.sh_size -= 4; }), HasSubstr("goes beyond"));
  EXPECT_THAT(refusal(SHT_NOTE, [](auto& bytes, Elf64_Shdr& section) { write(bytes, section.sh_offset, ~0u); }),
              HasSubstr("goes beyond"));
  EXPECT_THAT(refusal(SHT_NOTE, [](auto& bytes, Elf64_Shdr& section) { write(bytes, section.sh_offset + 4, ~0u); }),
              HasSubstr("goes beyond"));
}

TEST(CubinListing, TablesThatOverlapAreRefusedBeforeTheyTakeMemory) {
  // Every section is the same notes, which fill half of the cubin.
  std::vector<std::byte> changed = cubin();
  const auto header = read<Elf64_Ehdr>(changed, 0);
  const std::uint64_t size = changed.size() / 2 / 12 * 12, at = changed.size();
  changed.resize(at + size);
  for (std::uint64_t i = 1; i < header.e_shnum; ++i) {
    if (i == header.e_shstrndx) continue;
    const std::uint64_t place = header.e_shoff + i * sizeof(Elf64_Shdr);
    auto section = read<Elf64_Shdr>(changed, place);
    section.sh_type = SHT_NOTE;
    section.sh_offset = at;
    section.sh_size = size;
    section.sh_addralign = 4;
    write(changed, place, section);
  }
  try {
    list_cubin(changed);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("overlap"));
  }
}

TEST(CubinListing, NamesThatShareTheirBytesAreRefusedBeforeTheyTakeMemory) {
  // A table of one name of 1 MiB, at which every section and then every symbol begins to read.
  std::vector<std::byte> changed = cubin();
  const std::uint64_t at = changed.size(), size = (std::uint64_t{1} << 20) + 2;
  changed.resize(at + size, std::byte{'x'});
  changed[at] = changed.back() = std::byte{0};
  const std::uint64_t place = header_of(changed, SHT_SYMTAB);
  const auto symbols = read<Elf64_Shdr>(changed, place);
  const std::uint64_t names = read<Elf64_Ehdr>(changed, 0).e_shoff + symbols.sh_link * sizeof(Elf64_Shdr);
  auto table = read<Elf64_Shdr>(changed, names);
  table.sh_offset = at;
  table.sh_size = size;
  write(changed, names, table);
  const std::uint64_t count = symbols.sh_size / sizeof(Elf64_Sym);
  // More symbols than there are: the table goes on with bytes of its own.
  const std::uint64_t more = changed.size();
  for (std::uint64_t i = 0; i < count + 20; ++i) {
    Elf64_Sym symbol{};
    symbol.st_name = 1;
    changed.resize(changed.size() + sizeof symbol);
    write(changed, changed.size() - sizeof symbol, symbol);
  }
  auto moved = symbols;
  moved.sh_offset = more;
  moved.sh_size = changed.size() - more;
  write(changed, place, moved);
  try {
    list_cubin(changed);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("names in the cubin take more than 16777216 bytes"));
  }
}

TEST(CubinListing, EveryTruncationIsRefusedWithoutACrash) {
  const std::vector<std::byte>& whole = cubin();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // In a buffer of its own, so that a sanitizer sees a read beyond it.
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(list_cubin(cut), Error) << size;
  }
}

TEST(CubinListing, AnyFlippedBitIsListedOrRefusedWithoutACrash) {
  int refused = 0;
  for (std::size_t place = 0; place < cubin().size(); ++place) {
    std::vector<std::byte> flipped = cubin();
    flipped[place] ^= std::byte{1} << (place % 8);
    try {
      list_cubin(flipped);
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(CubinDifferences, AreNoneBetweenEqualListings) {
  EXPECT_THAT(differences(list_cubin(cubin()), list_cubin(cubin())), IsEmpty());
}

TEST(CubinDifferences, NameWhatDiffersAndBothValues) {
  const CubinListing ours = list_cubin(cubin());
  CubinListing theirs = ours;
  theirs.flags ^= 1;
  theirs.sections[1].size += 2;
  theirs.symbols.back().name += "x";
  theirs.notes[0].content.pop_back();
  theirs.notes.push_back(theirs.notes[0]);
  const std::vector<std::string> found = differences(ours, theirs);
  EXPECT_THAT(found, SizeIs(6));
  EXPECT_THAT(found, Contains(HasSubstr("flags: ")));
  EXPECT_THAT(found, Contains("section 1, size: " + std::to_string(ours.sections[1].size) + " and " +
                              std::to_string(theirs.sections[1].size)));
  EXPECT_THAT(found, Contains(ContainsRegex("symbol [0-9]+, name: (.*) and .*x$")));
  EXPECT_THAT(found, Contains("number of notes: 2 and 3"));
  EXPECT_THAT(found, Contains("note 0, content is equal: true and false"));
  EXPECT_THAT(differences(ours, theirs, 1), SizeIs(1));
}

TEST(CubinDifferences, OfLongNamesAreToldWhereverTheyLie) {
  CubinListing ours = list_cubin(cubin());
  ours.sections[1].name = std::string(1000, 'x');
  CubinListing theirs = ours;
  theirs.sections[1].name.back() = 'y';
  EXPECT_THAT(differences(ours, theirs), ElementsAre(HasSubstr("section 1, name: xxx")));
}

}  // namespace
}  // namespace flashmask
