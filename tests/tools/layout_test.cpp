// The geometry behind pictures of graphs, on boxes that are nothing but sizes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tools/draw/layered_layout.h"
#include "tools/draw/wire_tracks.h"

namespace flashmask::draw {
namespace {

using ::testing::ElementsAre;

constexpr LayeredBox kBox{.width = 100, .height = 40, .entry = std::nullopt};

LayeredEdge edge(std::size_t from, std::size_t to) {
  return {.from = from, .to = to, .place = 0, .exit = std::nullopt};
}

/// Whether a piece of a route, its ends left out, touches the inside of a box.
bool crosses(const Point& from, const Point& to, const Point& corner, const LayeredBox& box) {
  return std::max(from.x, to.x) > corner.x && std::min(from.x, to.x) < corner.x + box.width &&
         std::max(from.y, to.y) > corner.y && std::min(from.y, to.y) < corner.y + box.height;
}

void expect_clear(const std::vector<LayeredBox>& boxes, const std::vector<LayeredEdge>& edges) {
  const LayeredLayout layout = layered_layout(boxes, edges);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const Point& a = layout.boxes[i];
    ASSERT_GE(a.x, 0);
    ASSERT_GE(a.y, 0);
    ASSERT_LE(a.x + boxes[i].width, layout.width);
    ASSERT_LE(a.y + boxes[i].height, layout.height);
    for (std::size_t j = 0; j < i; ++j) {
      const Point& b = layout.boxes[j];
      const bool apart = a.x + boxes[i].width < b.x || b.x + boxes[j].width < a.x || a.y + boxes[i].height <= b.y ||
                         b.y + boxes[j].height <= a.y;
      ASSERT_TRUE(apart) << i << " and " << j;
    }
  }
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const std::vector<Point>& route = layout.routes[i];
    const Point& from = layout.boxes[edges[i].from];
    const LayeredBox& source = boxes[edges[i].from];
    ASSERT_EQ(route.front().y, from.y + source.height);
    ASSERT_TRUE(route.front().x > from.x && route.front().x < from.x + source.width);
    if (edges[i].to) {
      const Point& to = layout.boxes[*edges[i].to];
      ASSERT_EQ(route.back().y, to.y);
      ASSERT_TRUE(route.back().x > to.x && route.back().x < to.x + boxes[*edges[i].to].width);
      ASSERT_EQ(layout.climbs[i], to.y <= from.y);
    } else {
      ASSERT_EQ(route.back().y, layout.height);
    }
    for (std::size_t j = 1; j < route.size(); ++j) {
      ASSERT_TRUE(route[j].x == route[j - 1].x || route[j].y == route[j - 1].y) << "pieces are level or upright";
      for (std::size_t box = 0; box < boxes.size(); ++box) {
        ASSERT_FALSE(crosses(route[j - 1], route[j], layout.boxes[box], boxes[box]))
            << "edge " << i << " crosses box " << box;
      }
    }
  }
}

TEST(LayeredLayout, ABoxLiesBelowAllThatLeadToIt) {
  const LayeredLayout layout =
      layered_layout({kBox, kBox, kBox, kBox}, {edge(0, 1), edge(0, 2), edge(1, 3), edge(2, 3), edge(0, 3)});
  EXPECT_EQ(layout.boxes[1].y, layout.boxes[2].y);
  EXPECT_GT(layout.boxes[1].y, layout.boxes[0].y + kBox.height);
  EXPECT_GT(layout.boxes[3].y, layout.boxes[1].y + kBox.height);
  EXPECT_NE(layout.boxes[1].x, layout.boxes[2].x);
}

TEST(LayeredLayout, ALineOfBoxesIsStraight) {
  const LayeredLayout layout = layered_layout({kBox, kBox, kBox}, {edge(0, 1), edge(1, 2)});
  for (const Point& corner : layout.boxes) EXPECT_EQ(corner.x, 0);
  EXPECT_THAT(layout.routes[0], ElementsAre(Point{50, 40}, Point{50, layout.boxes[1].y}));
  EXPECT_EQ(layout.width, 100);
}

TEST(LayeredLayout, AnEdgeBackRunsUpAtTheLeftSide) {
  const LayeredLayout layout = layered_layout({kBox, kBox}, {edge(0, 1), edge(1, 0)});
  EXPECT_THAT(layout.climbs, ElementsAre(false, true));
  const auto leftmost = std::ranges::min_element(layout.routes[1], {}, &Point::x);
  EXPECT_LT(leftmost->x, layout.boxes[0].x);
  EXPECT_GT(layout.boxes[0].y, 0) << "there is room for it to arrive";
}

TEST(LayeredLayout, EdgesToOnePlaceOutsideLeaveAsOne) {
  const LayeredEdge out{.from = 0, .to = std::nullopt, .place = 7, .exit = std::nullopt};
  LayeredEdge other = out, elsewhere = out;
  other.from = elsewhere.from = 1;
  elsewhere.place = 8;
  const LayeredLayout layout = layered_layout({kBox, kBox}, {edge(0, 1), out, other, elsewhere});
  EXPECT_EQ(layout.routes[1].back(), layout.routes[2].back());
  EXPECT_NE(layout.routes[1].back(), layout.routes[3].back());
}

TEST(LayeredLayout, OfRandomGraphsNothingOverlapsAndNoEdgeCrossesABox) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<LayeredBox> boxes;
    for (std::size_t i = 0; i < 2 + random() % 14; ++i) {
      boxes.push_back({.width = 80 + static_cast<int>(random() % 200),
                       .height = 20 + static_cast<int>(random() % 60),
                       .entry = std::nullopt});
      if (random() % 3 == 0) boxes.back().entry = 40 + static_cast<int>(random() % 20);
    }
    std::vector<LayeredEdge> edges;
    for (std::size_t i = 0; i < boxes.size() * 2; ++i) {
      LayeredEdge made = edge(random() % boxes.size(), random() % boxes.size());
      if (random() % 6 == 0) {
        made.to = std::nullopt;
        made.place = random() % 3;
      }
      if (random() % 4 == 0) made.exit = 10 + static_cast<int>(random() % 60);
      edges.push_back(made);
    }
    expect_clear(boxes, edges);
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST(LayeredLayout, IsTheSameEveryTime) {
  const std::vector<LayeredBox> boxes(6, kBox);
  const std::vector<LayeredEdge> edges = {edge(0, 1), edge(0, 2), edge(1, 4), edge(2, 3),
                                          edge(3, 0), edge(2, 5), edge(4, 5)};
  const LayeredLayout first = layered_layout(boxes, edges), second = layered_layout(boxes, edges);
  EXPECT_EQ(first.boxes, second.boxes);
  EXPECT_EQ(first.routes, second.routes);
}

TEST(WireTracks, WiresThatWouldLieOnEachOtherHaveTracksOfTheirOwn) {
  EXPECT_THAT(wire_tracks({{.from = 0, .to = 100, .net = 1}, {.from = 50, .to = 150, .net = 2}}), ElementsAre(0, 1));
  EXPECT_THAT(wire_tracks({{.from = 0, .to = 40, .net = 1}, {.from = 50, .to = 150, .net = 2}}), ElementsAre(0, 0));
  EXPECT_THAT(wire_tracks({{.from = 0, .to = 100, .net = 1}, {.from = 50, .to = 100, .net = 1}}), ElementsAre(0, 0));
  EXPECT_THAT(wire_tracks({{.from = 70, .to = 70, .net = 1}, {.from = 0, .to = 100, .net = 2}}), ElementsAre(0, 0));
}

TEST(WireTracks, AWireThatComesFromWhereAnotherGoesTurnsOffAboveIt) {
  EXPECT_THAT(wire_tracks({{.from = 0, .to = 100, .net = 1}, {.from = 100, .to = 200, .net = 2}}), ElementsAre(1, 0));
  EXPECT_THAT(wire_tracks({{.from = 0, .to = 100, .net = 1, .falls = false}, {.from = 100, .to = 200, .net = 2}}),
              ElementsAre(0, 1));
  // Each would have to lie above the other.
  EXPECT_THAT(wire_tracks({{.from = 0, .to = 100, .net = 1}, {.from = 100, .to = 0, .net = 2}}),
              testing::UnorderedElementsAre(0, 1));
}

}  // namespace
}  // namespace flashmask::draw
