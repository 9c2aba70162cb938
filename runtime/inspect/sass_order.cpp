#include "flashmask/sass_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "runtime/inspect/sass_decode.h"
#include "runtime/inspect/sass_loops.h"
#include "runtime/store/cubin_image.h"

namespace flashmask {
namespace {

constexpr int kHopper = 90;
constexpr std::string_view kCodePrefix = ".text.";
constexpr std::size_t kLongestShownName = 200, kShownNames = 16;
constexpr std::size_t kLongestPattern = 8;  // runs

bool is_product(SassKind kind) {
  return kind == SassKind::kProductShared || kind == SassKind::kProductRegisters || kind == SassKind::kProductWarp;
}

bool is_local_memory(SassKind kind) {
  return kind == SassKind::kLocalLoad || kind == SassKind::kLocalStore;
}

/// What the order of everything else is told by, and therefore never folded.
bool is_landmark(SassKind kind) {
  switch (kind) {
    case SassKind::kArrive:
    case SassKind::kWait:
    case SassKind::kMbarrierTry:
    case SassKind::kMbarrierTest:
    case SassKind::kMbarrierArrive:
    case SassKind::kBarrierSync:
    case SassKind::kBarrierArrive:
    case SassKind::kBarrierReduce:
      return true;
    default:
      return is_product(kind);
  }
}

std::string text_of(const SassRun& run) {
  std::string text(to_string(run.kind));
  if (run.kind == SassKind::kWait) text += fmt::format("<={}", run.value);
  return run.count == 1 ? text : text + std::to_string(run.count);
}

bool same(const SassRun& a, const SassRun& b) {
  return a.kind == b.kind && a.value == b.value && a.count == b.count;
}

/// How often the first `length` runs stand there one behind the other; once if one of them is a landmark.
std::size_t repetitions(std::span<const SassRun> runs, std::size_t length) {
  for (const SassRun& run : runs.first(length)) {
    if (is_landmark(run.kind)) return 1;
  }
  std::size_t found = 1;
  while ((found + 1) * length <= runs.size() &&
         std::ranges::equal(runs.first(length), runs.subspan(found * length, length), same))
    ++found;
  return found;
}

/// The names of what the cubin has code of, the first few of them.
std::string entries_of(const CubinImage& image) {
  std::string text;
  std::size_t found = 0;
  for (std::uint64_t i = 0; i < image.section_count(); ++i) {
    const CubinImage::Section section = image.section(i);
    const std::string_view name = image.name_of(section, kLongestShownName);
    if (section.type != SHT_PROGBITS || !name.starts_with(kCodePrefix) || ++found > kShownNames) continue;
    text += (text.empty() ? "" : ", ") + std::string(name.substr(kCodePrefix.size()));
  }
  return found > kShownNames ? fmt::format("{} and {} more", text, found - kShownNames) : text;
}

/// The code of the entry. Throws Error{kNotFound}.
std::span<const std::byte> code_of(const CubinImage& image, const std::string& entry) {
  const std::string wanted = std::string(kCodePrefix) + entry;
  for (std::uint64_t i = 0; i < image.section_count(); ++i) {
    const CubinImage::Section section = image.section(i);
    if (section.type == SHT_PROGBITS && image.is_named(section, wanted)) return section.content;
  }
  const std::string there = entries_of(image);
  throw Error(ErrorCode::kNotFound, there.empty()
                                        ? fmt::format("the cubin has no code of {}, nor of anything else", entry)
                                        : fmt::format("the cubin has no code of {}: it has code of {}", entry, there));
}

std::vector<sass::Instruction> decode_all(std::span<const std::byte> code) {
  std::vector<sass::Instruction> result;
  for (std::size_t at = 0; at < code.size(); at += sass::kInstructionBytes)
    result.push_back(sass::decode(code.subspan(at).first<sass::kInstructionBytes>(), at));
  return result;
}

std::optional<SassOperation> operation_of(std::span<const sass::Instruction> code, std::size_t index) {
  if (!code[index].kind) return std::nullopt;
  return SassOperation{*code[index].kind, index * sass::kInstructionBytes, code[index].value};
}

/// The counts of a loop whose operations are there.
void count(SassLoop& loop) {
  for (const SassOperation& each : loop.operations) {
    loop.products_shared += each.kind == SassKind::kProductShared;
    loop.products_registers += each.kind == SassKind::kProductRegisters;
    loop.products_warp += each.kind == SassKind::kProductWarp;
    if (each.kind == SassKind::kWait)
      loop.waits.push_back({.address = each.address, .pending = static_cast<int>(each.value), .exponentials = 0});
    if (each.kind == SassKind::kExponential && !loop.waits.empty()) ++loop.waits.back().exponentials;
  }
  const auto product = [](const SassOperation& each) { return is_product(each.kind); };
  const auto first = std::ranges::find_if(loop.operations, product);
  const auto last = std::find_if(loop.operations.rbegin(), loop.operations.rend(), product).base();
  loop.local_memory_between_products =
      std::any_of(first, last, [](const SassOperation& each) { return is_local_memory(each.kind); });
}

/// The loops that multiply and have none inside that does.
std::vector<SassLoop> loops_of(std::span<const sass::Instruction> code) {
  std::vector<sass::NaturalLoop> loops = sass::natural_loops(code);
  std::erase_if(loops, [&](const sass::NaturalLoop& loop) {
    return std::ranges::none_of(loop.instructions,
                                [&](std::size_t i) { return code[i].kind && is_product(*code[i].kind); });
  });
  std::vector<SassLoop> result;
  for (const sass::NaturalLoop& loop : loops) {
    const bool innermost = std::ranges::none_of(loops, [&](const sass::NaturalLoop& other) {
      return other.header != loop.header && std::ranges::count(loop.instructions, other.header) != 0;
    });
    if (!innermost) continue;
    SassLoop& made = result.emplace_back();
    made.begin = loop.header * sass::kInstructionBytes;
    made.end = loop.end * sass::kInstructionBytes;
    for (std::size_t i : loop.instructions) {
      if (const auto operation = operation_of(code, i)) made.operations.push_back(*operation);
    }
    count(made);
  }
  return result;
}

}  // namespace

std::string_view to_string(SassKind kind) {
  switch (kind) {
    case SassKind::kProductShared:
      return "G";
    case SassKind::kProductRegisters:
      return "R";
    case SassKind::kProductWarp:
      return "M";
    case SassKind::kArrive:
      return "A";
    case SassKind::kWait:
      return "WAIT";
    case SassKind::kMbarrierTry:
      return "TRYWAIT";
    case SassKind::kMbarrierTest:
      return "TESTWAIT";
    case SassKind::kMbarrierArrive:
      return "ARRIVE";
    case SassKind::kBarrierSync:
      return "BAR.SYNC";
    case SassKind::kBarrierArrive:
      return "BAR.ARV";
    case SassKind::kBarrierReduce:
      return "BAR.RED";
    case SassKind::kExponential:
      return "exp";
    case SassKind::kSpecialFunction:
      return "mufu";
    case SassKind::kMaximum:
      return "max";
    case SassKind::kAdd:
      return "add";
    case SassKind::kMultiply:
      return "mul";
    case SassKind::kMultiplyAdd:
      return "fma";
    case SassKind::kConvert:
      return "cvt";
    case SassKind::kHalfAdd:
      return "hadd";
    case SassKind::kHalfCompare:
      return "hsetp";
    case SassKind::kPredicates:
      return "r2p";
    case SassKind::kSelect:
      return "sel";
    case SassKind::kLocalLoad:
      return "LDL";
    case SassKind::kLocalStore:
      return "STL";
    case SassKind::kSharedLoad:
      return "LDS";
    case SassKind::kSharedStore:
      return "STS";
    case SassKind::kMatrixLoad:
      return "LDSM";
    case SassKind::kMatrixStore:
      return "STSM";
    case SassKind::kTensorLoad:
      return "UTMALDG";
    case SassKind::kTensorStore:
      return "UTMASTG";
    case SassKind::kTensorReduce:
      return "UTMAREDG";
    case SassKind::kBulkCopy:
      return "UBLKCP";
    case SassKind::kBulkReduce:
      return "UBLKRED";
    case SassKind::kRegisterLimit:
      return "USETMAXREG";
    case SassKind::kBranch:
      return "BRA";
    case SassKind::kExit:
      return "EXIT";
  }
  return "?";
}

std::vector<SassRun> runs_of(std::span<const SassOperation> operations) {
  std::vector<SassRun> runs;
  for (const SassOperation& each : operations) {
    if (each.kind == SassKind::kBranch || each.kind == SassKind::kExit) continue;
    const bool alone = runs.empty() || each.kind == SassKind::kWait;
    if (!alone && runs.back().kind == each.kind && runs.back().value == each.value) {
      ++runs.back().count;
    } else {
      runs.push_back({.kind = each.kind, .address = each.address, .value = each.value, .count = 1});
    }
  }
  return runs;
}

std::string order_text(std::span<const SassOperation> operations) {
  const std::vector<SassRun> all = runs_of(operations);
  std::string text;
  for (std::span<const SassRun> rest = all; !rest.empty();) {
    std::size_t length = 1, times = 1;
    for (std::size_t tried = 2; tried <= std::min(kLongestPattern, rest.size() / 2); ++tried) {
      const std::size_t found = repetitions(rest, tried);
      if (found > 1 && found * tried > length * times) length = tried, times = found;
    }
    std::string part;
    for (const SassRun& run : rest.first(length)) part += (part.empty() ? "" : " ") + text_of(run);
    if (times > 1) part = fmt::format("({})x{}", part, times);
    const bool opens_products = rest.front().kind == SassKind::kArrive && rest.size() > 1 && is_product(rest[1].kind);
    rest = rest.subspan(length * times);
    text += part;
    if (!rest.empty()) text += opens_products ? " " : " | ";
  }
  return text;
}

SassOrder read_sass_order(std::span<const std::byte> cubin, const std::string& entry) {
  const CubinImage image(cubin);
  if (image.sm() != kHopper) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("the cubin is for sm_{}: the order of instructions is read for sm_90 and sm_90a", image.sm()),
        "disassemble it with nvdisasm");
  }
  const std::span<const std::byte> bytes = code_of(image, entry);
  if (bytes.size() % sass::kInstructionBytes != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the code of {} has {} bytes: a multiple of {} is needed, the size of an instruction",
                            entry, bytes.size(), sass::kInstructionBytes));
  }
  const std::vector<sass::Instruction> code = decode_all(bytes);
  SassOrder order{.entry = entry, .operations = {}, .loops = loops_of(code)};
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (const auto operation = operation_of(code, i)) order.operations.push_back(*operation);
  }
  return order;
}

}  // namespace flashmask
