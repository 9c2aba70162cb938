#include "tools/command/cubin_report.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "flashmask/error.h"
#include "tools/llvm_cubin/llvm_cubin.h"

namespace flashmask::command {
namespace {

using nlohmann::ordered_json;

constexpr const char* kReportIt = "report it with the cubin: one of the two readers is wrong";

/// A name or a content as a terminal may have it.
std::string printable(std::string_view text) {
  std::string result(text);
  std::ranges::replace_if(result, [](char character) { return character < ' ' || character > '~'; }, '.');
  return result;
}

std::string section_type(std::uint32_t type) {
  switch (type) {
    case SHT_NULL:
      return "NULL";
    case SHT_PROGBITS:
      return "PROGBITS";
    case SHT_SYMTAB:
      return "SYMTAB";
    case SHT_STRTAB:
      return "STRTAB";
    case SHT_RELA:
      return "RELA";
    case SHT_NOTE:
      return "NOTE";
    case SHT_NOBITS:
      return "NOBITS";
    case SHT_REL:
      return "REL";
    default:
      return fmt::format("{:#x}", type);
  }
}

std::string named(std::uint8_t value, std::span<const std::string_view> names) {
  return value < names.size() ? std::string(names[value]) : std::to_string(value);
}

std::string symbol_type(const CubinSymbol& symbol) {
  static constexpr std::array<std::string_view, 5> kNames = {"NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE"};
  return named(ELF64_ST_TYPE(symbol.info), kNames);
}

std::string symbol_binding(const CubinSymbol& symbol) {
  static constexpr std::array<std::string_view, 3> kNames = {"LOCAL", "GLOBAL", "WEAK"};
  return named(ELF64_ST_BIND(symbol.info), kNames);
}

std::string symbol_place(const CubinSymbol& symbol) {
  switch (symbol.section) {
    case SHN_UNDEF:
      return "UND";
    case SHN_ABS:
      return "ABS";
    case SHN_COMMON:
      return "COM";
    default:
      return std::to_string(symbol.section);
  }
}

std::string_view view_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What LLVM says of bytes that the library's reader refused.
[[noreturn]] void refuse(const Error& error, const std::optional<llvm_cubin::Reading>& llvm) {
  if (!llvm) throw error;
  if (!llvm->listing) {
    throw Error(error.code(), error.what(), fmt::format("LLVM {} refuses it too: {}", llvm->version, llvm->refusal));
  }
  throw Error(ErrorCode::kInternal, fmt::format("{}, and yet LLVM {} reads it", error.what(), llvm->version),
              kReportIt);
}

}  // namespace

CubinReport report_cubin(std::span<const std::byte> cubin) {
  const std::optional<llvm_cubin::Reading> llvm = llvm_cubin::read(cubin);
  CubinReport report;
  report.bytes = cubin.size();
  try {
    report.listing = list_cubin(cubin);
  } catch (const Error& error) {
    refuse(error, llvm);
  }
  if (!llvm) return report;
  report.llvm_version = llvm->version;
  if (llvm->listing) {
    report.disagreements = differences(report.listing, *llvm->listing);
  } else {
    report.disagreements = {"LLVM refuses it: " + llvm->refusal};
  }
  return report;
}

std::string cubin_text(const CubinReport& report) {
  const CubinListing& listing = report.listing;
  std::string text = fmt::format("cubin     sm_{}, ABI {}, flags {:#x}, {} bytes\n", listing.sm, listing.abi_version,
                                 listing.flags, report.bytes);
  text += fmt::format("sections  {}\n{:>6} {:>10} {:>10} {:>8} {:>8} {:>4} {:>10} {:>5}  {}\n", listing.sections.size(),
                      "", "type", "flags", "offset", "bytes", "link", "info", "align", "name");
  for (std::size_t i = 0; i < listing.sections.size(); ++i) {
    const CubinSection& each = listing.sections[i];
    text += fmt::format("{:>6} {:>10} {:>#10x} {:>#8x} {:>8} {:>4} {:>#10x} {:>5}  {}\n", i, section_type(each.type),
                        each.flags, each.offset, each.size, each.link, each.info, each.alignment, printable(each.name));
  }
  text += fmt::format("symbols   {}\n{:>6} {:>8} {:>8} {:>8} {:>7} {:>5} {:>7}  {}\n", listing.symbols.size(), "",
                      "type", "binding", "value", "bytes", "other", "section", "name");
  for (std::size_t i = 0; i < listing.symbols.size(); ++i) {
    const CubinSymbol& each = listing.symbols[i];
    text +=
        fmt::format("{:>6} {:>8} {:>8} {:>#8x} {:>7} {:>#5x} {:>7}  {}\n", i, symbol_type(each), symbol_binding(each),
                    each.value, each.size, each.other, symbol_place(each), printable(each.name));
  }
  text += fmt::format("notes     {}\n", listing.notes.size());
  for (const CubinNote& each : listing.notes) {
    text += fmt::format("       {}, type {}, of {}, {} bytes: {}\n", printable(each.section), each.type,
                        printable(each.owner), each.content.size(), printable(view_of(each.content)));
  }
  if (!report.llvm_version) return text + "readers   one: the command was built without LLVM\n";
  if (report.disagreements.empty()) {
    return text + fmt::format("readers   two: LLVM {} reads the same\n", *report.llvm_version);
  }
  text += fmt::format("readers   two: LLVM {} reads it otherwise (ours and LLVM's)\n", *report.llvm_version);
  for (const std::string& each : report.disagreements) text += "       " + printable(each) + "\n";
  return text;
}

ordered_json cubin_json(const CubinReport& report) {
  const CubinListing& listing = report.listing;
  ordered_json sections = ordered_json::array(), symbols = ordered_json::array(), notes = ordered_json::array();
  for (const CubinSection& each : listing.sections) {
    sections.push_back({{"name", each.name},
                        {"type", each.type},
                        {"flags", each.flags},
                        {"address", each.address},
                        {"offset", each.offset},
                        {"bytes", each.size},
                        {"link", each.link},
                        {"info", each.info},
                        {"alignment", each.alignment},
                        {"entry_bytes", each.entry_size}});
  }
  for (const CubinSymbol& each : listing.symbols) {
    symbols.push_back({{"name", each.name},
                       {"info", each.info},
                       {"other", each.other},
                       {"section", each.section},
                       {"value", each.value},
                       {"bytes", each.size}});
  }
  for (const CubinNote& each : listing.notes) {
    notes.push_back({{"section", each.section},
                     {"owner", each.owner},
                     {"type", each.type},
                     {"bytes", each.content.size()},
                     {"text", printable(view_of(each.content))}});
  }
  ordered_json llvm = nullptr;
  if (report.llvm_version) {
    llvm = {{"version", *report.llvm_version},
            {"agrees", report.disagreements.empty()},
            {"disagreements", report.disagreements}};
  }
  return {{"compute_capability", listing.sm}, {"abi_version", listing.abi_version},
          {"flags", listing.flags},           {"bytes", report.bytes},
          {"sections", std::move(sections)},  {"symbols", std::move(symbols)},
          {"notes", std::move(notes)},        {"llvm", std::move(llvm)}};
}

void require_agreement(const CubinReport& report) {
  if (report.disagreements.empty()) return;
  throw Error(ErrorCode::kInternal,
              fmt::format("LLVM {} reads the cubin otherwise: {}", *report.llvm_version,
                          printable(report.disagreements.front())),
              kReportIt);
}

}  // namespace flashmask::command
