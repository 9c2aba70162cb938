#pragma once

#include <functional>

#include "tests/backward/launch.h"
#include "tests/forward/problems.h"
#include "tests/mutants/families.h"

namespace flashmask::mutants {

using forward_tests::Extents;
using forward_tests::Intervals;
using forward_tests::TestProblem;
using forward_tests::Variety;

inline constexpr Target kWgmmaTarget{90, true};

struct HeadDims {
  int qk;
  int v;
};

/// One forward, which writes LSE as well. `change` is applied to the problem before the launch.
Scenario forward(MaskForm form, const TileConfig& tile, HeadDims head_dims, const Extents& extents,
                 const Variety& variety, bool with_plan, const std::function<void(TestProblem&)>& change = {},
                 const Target& target = {});

struct BackwardChoice {
  MaskForm form = MaskForm::kNone;
  bool deterministic = false;
  TileConfig tile{};
  HeadDims head_dims{32, 32};
  bool with_plan = false;
  CausalAlignment alignment = CausalAlignment::kBottomRight;
  Target target{};
  std::function<void(TestProblem&)> change = {};  ///< as forward() has it
};

/// One backward, with a gradient of LSE.
Scenario backward(const BackwardChoice& choice, const Extents& extents, const Variety& variety);

}  // namespace flashmask::mutants
