#include "runtime/store/entry_check.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/store/cubin_check.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

std::optional<std::string> refuse_images(const cache::Entry& entry, Target target, const std::string& name,
                                         PtxNeed need) {
  const auto cubin = entry.section(kCubinSection);
  if (!cubin) return "it has no cubin";
  if (auto refusal = refuse_cubin(*cubin, target, name)) return refusal;
  const auto ptx = entry.section(kPtxSection);
  if (ptx && ptx->empty()) return "its PTX is empty";
  if (!ptx && need == PtxNeed::kRequired) return "it has no PTX, which the emulator runs";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> refuse_entry(const cache::Entry& entry, const generator::KernelSource& source, PtxNeed need,
                                        KernelRecord& record) {
  std::string why;
  auto parsed = parse_record(entry.metadata(), why);
  if (!parsed) return "its record is not readable: " + why;
  if (!(parsed->descriptor == source.descriptor && parsed->config == source.config && parsed->entry == source.entry))
    return "its record describes another kernel";
  if (auto refusal = refuse_images(entry, source.descriptor.target, source.entry, need)) return refusal;
  record = std::move(*parsed);
  return std::nullopt;
}

std::optional<std::string> refuse_entry(const cache::Entry& entry, KernelRecord& record) {
  std::string why;
  auto parsed = parse_record(entry.metadata(), why);
  if (!parsed) return "its record is not readable: " + why;
  if (toolchain_tag(parsed->toolchain) != entry.toolchain_tag())
    return fmt::format("its record names the toolchain \"{}\", its name {}", parsed->toolchain, entry.toolchain_tag());
  if (const auto rules = broken_rules(parsed->descriptor); !rules.empty())
    return "its record describes no kernel: " + rules.front();
  if (auto refusal = refuse_images(entry, parsed->descriptor.target, parsed->entry, PtxNeed::kOptional)) return refusal;
  record = std::move(*parsed);
  return std::nullopt;
}

}  // namespace flashmask
