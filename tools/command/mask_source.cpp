#include "tools/command/mask_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "flashmask/error.h"
#include "tools/command/mask_file.h"

namespace flashmask::command {
namespace {

[[noreturn]] void refuse(const std::string& rule, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, rule, hint);
}

bool is_kind(const std::string& name) {
  return std::ranges::any_of(mask_kinds(), [&](const MaskKind& kind) { return kind.name == name; });
}

/// What no kind is called: a path, or the name of something that is there.
bool looks_like_file(const std::string& subject) {
  std::error_code ignored;
  return subject.find('/') != std::string::npos || subject.ends_with(".safetensors") ||
         std::filesystem::exists(subject, ignored);
}

}  // namespace

MaskArguments parse_mask_parameters(const std::vector<std::string>& texts) {
  MaskArguments parameters;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      refuse(fmt::format("--param {}: NAME=VALUE is needed, such as window=128", text));
    }
    if (!parameters.emplace(text.substr(0, equals), text.substr(equals + 1)).second) {
      refuse(fmt::format("--param {}: {} was given before", text, text.substr(0, equals)));
    }
  }
  return parameters;
}

NamedMask build_named_mask(const MaskSource& source) {
  const MaskKind& kind = find_mask_kind(source.subject);
  if (source.causal || source.causal_alignment) {
    refuse(fmt::format("{}: it belongs to files; the kind {} says itself what is causal",
                       source.causal ? "--causal" : "--causal-alignment", kind.name),
           "see the kind's parameters in flashmask mask list");
  }
  if (!source.seqlen_q && !source.seqlen_k) {
    refuse(fmt::format("--seqlen-k: the mask kind {} needs a length", kind.name),
           fmt::format("for example --seqlen-k {}; with --seqlen-q too where they differ", kind.example_seqlen_k));
  }
  const MaskArguments parameters = parse_mask_parameters(source.parameters);
  const int seqlen_q = source.seqlen_q ? *source.seqlen_q : *source.seqlen_k;
  const int seqlen_k = source.seqlen_k ? *source.seqlen_k : *source.seqlen_q;
  return {build_mask(kind.name, parameters, seqlen_q, seqlen_k), &kind, parameters, std::string(kind.name)};
}

NamedMask load_named_mask(const MaskSource& source) {
  if (is_kind(source.subject)) return build_named_mask(source);
  if (!looks_like_file(source.subject)) {
    try {
      return build_named_mask(source);
    } catch (const Error& error) {
      refuse(error.what(), "see flashmask mask list; a file is given by its path");
    }
  }
  return {read_mask_file(source), nullptr, {}, std::filesystem::path(source.subject).filename().string()};
}

}  // namespace flashmask::command
