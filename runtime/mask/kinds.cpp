#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "flashmask/error.h"
#include "flashmask/mask_kinds.h"
#include "runtime/mask/kind_tables.h"

namespace flashmask {
namespace {

struct Registry {
  std::vector<MaskKind> kinds;
  std::vector<decltype(BuildableKind::make)> makers;  ///< as kinds

  Registry() {
    for (const auto& table : {paper_kinds(), language_kinds(), vision_kinds(), permuted_kinds()}) {
      for (const BuildableKind& entry : table) {
        kinds.push_back(entry.kind);
        makers.push_back(entry.make);
      }
    }
  }
};

const Registry& registry() {
  static const Registry instance;
  return instance;
}

}  // namespace

MaskArguments MaskKind::example_arguments() const {
  MaskArguments arguments;
  for (const MaskParameter& parameter : parameters) arguments.emplace(parameter.name, parameter.example);
  return arguments;
}

const std::vector<MaskKind>& mask_kinds() {
  return registry().kinds;
}

const MaskKind& find_mask_kind(std::string_view name) {
  for (const MaskKind& kind : mask_kinds()) {
    if (kind.name == name) return kind;
  }
  std::string known;
  for (const MaskKind& kind : mask_kinds()) known += (known.empty() ? "" : ", ") + std::string(kind.name);
  throw Error(ErrorCode::kInvalidArgument, fmt::format("mask kind {}: not known; known are {}", name, known));
}

Mask build_mask(std::string_view kind_name, const MaskArguments& arguments, int seqlen_q, int seqlen_k) {
  const MaskKind& kind = find_mask_kind(kind_name);
  const ArgumentReader reader(kind, arguments);
  const auto make = registry().makers[static_cast<std::size_t>(&kind - mask_kinds().data())];
  Mask mask = make(reader, {seqlen_q, seqlen_k});
  // Kinds whose lengths follow from their parameters.
  if (mask.shape().seqlen_q != seqlen_q || mask.shape().seqlen_k != seqlen_k) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("seqlen_q = {}, seqlen_k = {}: mask kind {} with these parameters is {} by {}", seqlen_q,
                            seqlen_k, kind.name, mask.shape().seqlen_q, mask.shape().seqlen_k));
  }
  return mask;
}

}  // namespace flashmask
