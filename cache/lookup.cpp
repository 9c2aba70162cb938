#include "cache/lookup.h"

#include <utility>

namespace flashmask::cache {

TagPolicy TagPolicy::exact(std::string tag) {
  TagPolicy policy;
  policy.exact_ = std::move(tag);
  return policy;
}

TagPolicy TagPolicy::matching(std::function<bool(std::string_view tag)> accepts) {
  TagPolicy policy;
  policy.accepts_ = std::move(accepts);
  return policy;
}

std::string_view name_of(MissReason reason) {
  switch (reason) {
    case MissReason::kAbsent:
      return "absent";
    case MissReason::kOtherToolchain:
      return "other-toolchain";
    case MissReason::kDisabled:
      return "disabled";
    case MissReason::kUnreadable:
      return "unreadable";
    case MissReason::kNotARegularFile:
      return "not-a-regular-file";
    case MissReason::kForeignOwner:
      return "foreign-owner";
    case MissReason::kLoosePermissions:
      return "loose-permissions";
    case MissReason::kTooLarge:
      return "too-large";
    case MissReason::kForeign:
      return "foreign";
    case MissReason::kOtherVersion:
      return "other-version";
    case MissReason::kCorrupt:
      return "corrupt";
    case MissReason::kMalformed:
      return "malformed";
    case MissReason::kWrongName:
      return "wrong-name";
    case MissReason::kRefused:
      return "refused";
  }
  return "unknown";
}

LookupResult miss(MissReason reason, std::string detail) {
  return {std::nullopt, reason, std::move(detail)};
}

MissReason reason_of(EntryDefect defect) {
  switch (defect) {
    case EntryDefect::kForeign:
      return MissReason::kForeign;
    case EntryDefect::kOtherVersion:
      return MissReason::kOtherVersion;
    case EntryDefect::kMalformed:
      return MissReason::kMalformed;
    case EntryDefect::kTruncated:
    case EntryDefect::kWrongLength:
    case EntryDefect::kWrongChecksum:
      return MissReason::kCorrupt;
  }
  return MissReason::kCorrupt;
}

}  // namespace flashmask::cache
