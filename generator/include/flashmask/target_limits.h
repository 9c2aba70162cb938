#pragma once

#include <optional>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"

namespace flashmask {

/// What a multiprocessor (SM) of an architecture has, and what one CTA may take of it.
struct TargetLimits {
  int shared_bytes_per_cta = 0;  ///< static and dynamic, with opt-in
  int shared_bytes_per_sm = 0;
  int reserved_shared_bytes_per_cta = 0;  ///< what the system takes beside the bytes of the kernel
  int registers_per_thread = 0;
  int registers_per_cta = 0;
  int registers_per_sm = 0;
  int warps_per_sm = 0;
  int ctas_per_sm = 0;

  friend bool operator==(const TargetLimits&, const TargetLimits&) = default;
};

/// The limits of a target; empty for one that kernels cannot be generated for.
FLASHMASK_API std::optional<TargetLimits> limits_of(const Target& target);

}  // namespace flashmask
