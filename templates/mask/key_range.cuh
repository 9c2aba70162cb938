#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"

namespace flashmask {

/// The keys first … last that a row may see; none if last < first. Both ends grow with the row, in every form.
struct KeyRange {
  int first;
  int last;
};

}  // namespace flashmask
