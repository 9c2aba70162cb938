#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flashmask/mask_builders.h"
#include "tests/tools/xml_check.h"
#include "tools/draw/bounds.h"
#include "tools/draw/glyphs.h"
#include "tools/draw/svg.h"
#include "tools/draw/tile_grid.h"

namespace flashmask::draw {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using enum TileClass;
using test::is_well_formed;

constexpr int kMany = 1000;

TileGrid grid_of(const Mask& mask, int tile, int max_rows = kMany, int max_columns = kMany) {
  return make_tile_grid(classify_tiles(mask, {tile, tile}), 0, 0, max_rows, max_columns);
}

std::vector<Bound> bounds_of(const Mask& mask, int max_steps = kMany) {
  return mask_bounds(mask, 0, 0, max_steps);
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(TileGrid, ShowsEveryTileWhereThereIsRoom) {
  const TileGrid grid = grid_of(masks::causal_documents(8, {5, 3}), 2);
  EXPECT_EQ(grid.rows, 4);
  EXPECT_EQ(grid.columns, 4);
  EXPECT_EQ(grid.tiles_per_cell, 1);
  EXPECT_THAT(grid.cells, ElementsAre(kPartial, kEmpty, kEmpty, kEmpty,      //
                                      kFull, kPartial, kEmpty, kEmpty,       //
                                      kPartial, kPartial, kPartial, kEmpty,  //
                                      kEmpty, kEmpty, kPartial, kPartial));
  EXPECT_THAT(grid.loads, ElementsAre(5, 9, 15, 10));
}

TEST(TileGrid, PutsTilesTogetherWhereThereIsNone) {
  const Mask mask = masks::causal(10);
  const TileGrid narrow = grid_of(mask, 1, kMany, 4);
  EXPECT_EQ(narrow.tiles_per_cell, 3);
  EXPECT_EQ(narrow.rows, 4);
  EXPECT_THAT(narrow.cells, ElementsAre(kPartial, kEmpty, kEmpty, kEmpty,  //
                                        kFull, kPartial, kEmpty, kEmpty,   //
                                        kFull, kFull, kPartial, kEmpty,    //
                                        kFull, kFull, kFull, kFull));      // the last cell is one tile
  EXPECT_THAT(narrow.loads, ElementsAre(8, 20, 32, 40)) << "the mean of one or three rows of tiles, rounded up";
  EXPECT_EQ(grid_of(mask, 1, 5, kMany).tiles_per_cell, 2);
  EXPECT_EQ(grid_of(mask, 1, 1, 1).cells.size(), 1u);
}

TEST(Glyphs, DrawFullPartialAndEmptyInAFrameWithBars) {
  EXPECT_EQ(glyph_text(grid_of(masks::causal_documents(8, {5, 3}), 2)),
            "┌────────┐\n"
            "│░░      │ ██▊\n"
            "│██░░    │ ████▉\n"
            "│░░░░░░  │ ████████\n"
            "│    ░░░░│ █████▍\n"
            "└────────┘\n");
}

TEST(Glyphs, ARowWithoutWorkHasNoBar) {
  EXPECT_EQ(glyph_text(grid_of(masks::flamingo_cross_attention({4, 2}, {2}, 2), 2)),
            "┌──┐\n"
            "│  │\n"
            "│██│ ████████\n"
            "└──┘\n");
}

TEST(Glyphs, FitIntoTheWidthThatTheirCellsWereCountedFor) {
  for (int width = 13; width < 200; ++width) {
    const int cells = cells_in_width(width);
    EXPECT_LE(2 * cells + 11, width);
    EXPECT_GT(2 * (cells + 1) + 11, width);
  }
  EXPECT_EQ(cells_in_width(1), 1);
}

TEST(Bounds, AreThoseOfTheForm) {
  const auto names = [](const Mask& mask) {
    std::vector<std::string> found;
    for (const Bound& bound : bounds_of(mask)) found.emplace_back(bound.name);
    return found;
  };
  EXPECT_THAT(names(masks::full(8)), ElementsAre());
  EXPECT_THAT(names(masks::causal(8)), ElementsAre("diagonal"));
  EXPECT_THAT(names(masks::window(8, 1, 1)), ElementsAre("window left", "window right"));
  EXPECT_THAT(names(masks::sliding_window(8, 2)), ElementsAre("LTS", "diagonal"));
  EXPECT_THAT(names(masks::tri_shape(8, 1, 2, 2)), ElementsAre("LTS", "LTE", "diagonal"));
  EXPECT_THAT(names(masks::documents(8, {4, 4})), ElementsAre("LTS", "UTE"));
  EXPECT_THAT(names(masks::global_sliding_window(8, 1, 1)), ElementsAre("LTS", "LTE", "UTS", "UTE"));
}

TEST(Bounds, JoinKeysOfOneRowAndLeaveOutWhatMasksNothing) {
  const std::vector<Bound> bounds = bounds_of(masks::documents(9, {4, 3, 2}));
  EXPECT_THAT(bounds[0].steps, ElementsAre(BoundStep{0, 4, 4}, BoundStep{4, 7, 7}));  // the last document ends with all
  EXPECT_THAT(bounds[1].steps, ElementsAre(BoundStep{4, 7, 4}, BoundStep{7, 9, 7}));  // the first one starts with all
}

TEST(Bounds, AreClampedAndEmptyIntervalsHaveNone) {
  const MaskShape shape{.form = MaskForm::kF4, .seqlen_q = 4, .seqlen_k = 3};
  const Mask mask(shape, {-5, 99, 3, 1,  //
                          3, 3, 1, 2,    //
                          7, 9, -3, -1});
  const std::vector<Bound> bounds = bounds_of(mask);
  EXPECT_THAT(bounds[0].steps, ElementsAre(BoundStep{0, 1, 0}));
  EXPECT_THAT(bounds[1].steps, ElementsAre(BoundStep{0, 1, 4}));
  EXPECT_THAT(bounds[2].steps, ElementsAre(BoundStep{1, 2, 1}));
  EXPECT_THAT(bounds[3].steps, ElementsAre(BoundStep{1, 2, 2}));
}

TEST(Bounds, FollowTheDiagonalOfEitherAlignment) {
  EXPECT_THAT(bounds_of(masks::causal({2, 4}))[0].steps, ElementsAre(BoundStep{3, 4, 1}));
  EXPECT_THAT(bounds_of(masks::causal({2, 4}, CausalAlignment::kTopLeft))[0].steps,
              ElementsAre(BoundStep{1, 2, 1}, BoundStep{2, 4, 2}));
}

TEST(Bounds, OfAWindowLieBelowAndAboveItsRows) {
  const std::vector<Bound> bounds = bounds_of(masks::window(4, 1, 0));
  EXPECT_THAT(bounds[0].steps, ElementsAre(BoundStep{0, 1, 2}, BoundStep{1, 2, 3}));
  EXPECT_THAT(bounds[1].steps, ElementsAre(BoundStep{1, 2, 1}, BoundStep{2, 3, 2}, BoundStep{3, 4, 3}));
  EXPECT_THAT(bounds_of(masks::window(4, -1, -1))[0].steps, ElementsAre());
}

TEST(Bounds, OfTheWidestWindowDoNotOverflow) {
  EXPECT_THAT(bounds_of(masks::window(4, 2147483647, 2147483647))[0].steps, ElementsAre());
}

TEST(Bounds, OfLongMasksAreSampled) {
  const std::vector<Bound> bounds = bounds_of(masks::causal(10), 5);
  EXPECT_THAT(bounds[0].steps,
              ElementsAre(BoundStep{2, 4, 2}, BoundStep{4, 6, 4}, BoundStep{6, 8, 6}, BoundStep{8, 10, 8}));
}

TEST(Bounds, AreThoseOfTheHeadAsked) {
  const Mask mask = stack_heads(std::vector{masks::sliding_window(4, 1), masks::sliding_window(4, 3)});
  EXPECT_THAT(mask_bounds(mask, 0, 0, kMany)[0].steps.front(), (BoundStep{0, 1, 1}));
  EXPECT_THAT(mask_bounds(mask, 0, 1, kMany)[0].steps.front(), (BoundStep{0, 1, 3}));
}

std::string svg_of(const Mask& mask, const TileShape& tile, const std::string& title = "mask") {
  return mask_svg(mask, classify_tiles(mask, tile), 0, 0, title);
}

TEST(Svg, IsWellFormedForEveryFormAndLength) {
  for (const Mask& mask : {masks::full(16), masks::causal({3, 1000}), masks::window({1000, 3}, 4, 0),
                           masks::sliding_window(5000, 100), masks::tri_shape(16, 1, 2, 2),
                           masks::documents(16, {4, 12}), masks::global_sliding_window(16, 1, 1), masks::full(1)}) {
    EXPECT_TRUE(is_well_formed(svg_of(mask, {2, 3})));
  }
  EXPECT_FALSE(is_well_formed("<svg><g></svg>"));
}

TEST(Svg, HasTilesCountsAndBounds) {
  const std::string svg = svg_of(masks::documents(16, {6, 10}), {4, 4}, "two documents");
  EXPECT_THAT(svg, AllOf(HasSubstr("<title>two documents</title>"), HasSubstr(">5 full<"), HasSubstr(">7 partial<"),
                         HasSubstr(">4 empty<"), HasSubstr(">LTS<"), HasSubstr(">UTE<"), Not(HasSubstr(">LTE<"))));
  EXPECT_EQ(count(svg, "<path fill=\"none\""), 4) << "each bound over the tiles and in the legend";
  EXPECT_THAT(svg, HasSubstr("d=\"M0 144H144\"")) << "LTS of the first document: 6 rows and keys of 24 pixels";
  EXPECT_THAT(svg, HasSubstr("d=\"M144 144H384\"")) << "UTE of the second";
}

TEST(Svg, ATitleCannotBreakOut) {
  const std::string svg = svg_of(masks::causal(4), {1, 1}, "</title><a> & \x01 \xff \"");
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_THAT(svg, HasSubstr("<title>&lt;/title&gt;&lt;a&gt; &amp; ? ? &quot;</title>"));
}

TEST(Svg, OfALongMaskStaysSmall) {
  const std::string svg = svg_of(masks::sliding_window(1 << 17, 4096), {128, 128});
  EXPECT_LT(svg.size(), 60'000u);
  EXPECT_THAT(svg, HasSubstr("6 x 6 of them in a cell"));
}

}  // namespace
}  // namespace flashmask::draw
