#pragma once

#include "flashmask/error.h"
#include "flashmask/kernel_descriptor.h"
#include "generator/invalid_request.h"

namespace flashmask {

/// The error of the public interface for what the generator refused, with every rule: kUnsupported where the descriptor
/// is legal and no configuration fits its target, else kInvalidArgument.
Error error_of(const KernelDescriptor& descriptor, const generator::InvalidRequest& refusal);

}  // namespace flashmask
