#pragma once

#include <vector>

#include "flashmask/manifest.h"

namespace flashmask {

/// The order of a manifest: by target, pass, dtype, head dims, form, alignment, determinism, and configuration, of
/// which the default one comes first. A strict order of all fields: what it holds for equal is equal.
struct RequestOrder {
  bool operator()(const KernelRequest& a, const KernelRequest& b) const;
};

/// Sorts, and leaves each request once.
void sort_and_collapse(std::vector<KernelRequest>& requests);

}  // namespace flashmask
