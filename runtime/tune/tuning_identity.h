#pragma once

#include <string>
#include <string_view>

#include "flashmask/device.h"
#include "flashmask/tuning.h"

namespace flashmask::tune {

/// Digest, in hex, of the templates that the descriptor's kernels are made of: with other ones, seconds that were
/// measured say nothing. Of a legal descriptor.
std::string template_digest(const KernelDescriptor& descriptor);

/// How this library gets seconds of that basis: what got them otherwise cannot be compared with them.
std::string_view method_of(TuningBasis basis);

/// The key of an answer for this device and descriptor, as the benches of this library measure.
TuningKey tuning_key(const DeviceProperties& device, const KernelDescriptor& descriptor, const TuningBucket& bucket);

}  // namespace flashmask::tune
