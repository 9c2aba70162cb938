#pragma once

#include <cstdint>
#include <string>

#include "flashmask/device.h"

namespace flashmask {

/// The first rule that the box breaks: what was asked, what is allowed. Empty if legal.
std::string broken_rule(const TensorBox& box);

/// The strides of heads, seqlen and batch that a tensor map takes, in bytes: where the extent is 1 a stride has no
/// meaning, but a map wants a legal one.
struct BoxStrides {
  std::uint64_t seqlen;
  std::uint64_t heads;
  std::uint64_t batch;
};
BoxStrides strides_in_bytes(const TensorBox& box);

}  // namespace flashmask
