#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/mask.h"

namespace flashmask::mask_tests {

/// What a mask shows, element by element through Mask::is_visible(): [batch, num_heads, seqlen_q, seqlen_k].
std::vector<std::uint8_t> seen(const Mask& mask);

/// Whether the two show the same; a failure draws the first slice that differs.
testing::AssertionResult sees_like(const Mask& mask, const MaskExtents& extents,
                                   const std::vector<std::uint8_t>& expected);

/// Whether row i of every batch entry and mask head sees key j iff rule(i, j).
testing::AssertionResult sees_by(const Mask& mask, const std::function<bool(int i, int j)>& rule);

/// The shape and the values in one line, to repeat a failure by.
std::string describe(const Mask& mask);

/// The text of the error that the action throws; fails the test if it throws none, or not Error{kInvalidArgument}.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace flashmask::mask_tests
