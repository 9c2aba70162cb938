#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "flashmask/device_masks.h"
#include "runtime/rule_collector.h"

// What the builders of device_masks.h refuse.
namespace flashmask::device_masks {

/// The broken rules of one call.
class BuildRules : public RuleCollector {
 public:
  /// Throws Error{kInvalidArgument} with all of them, if any is broken.
  void enforce() const;
};

/// The form is one of those that are written, and the extents are in range. Whether they are.
bool check_extents(BuildRules& rules, MaskForm form, const Extents& extents);
/// Bytes of the mask, of extents that are in range.
std::size_t mask_bytes(MaskForm form, const Extents& extents);
/// No more queries than keys.
void check_positions(BuildRules& rules, const Extents& extents);
/// The extents are in range, and the output holds the mask. Returns the bytes of the mask, 0 if they are unknown
/// because the extents break a rule.
std::size_t check_target(BuildRules& rules, MaskForm form, const Extents& extents, const Output& output);
/// The `bytes` of int32 that are read lie in device memory, and not in the output, of which `written` bytes are.
void check_source(BuildRules& rules, std::string_view name, DevicePointer source, std::uint64_t bytes,
                  const Output& output, std::uint64_t written);

}  // namespace flashmask::device_masks
