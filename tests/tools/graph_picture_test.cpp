// Pictures of graphs of kernels, as SVG and for Graphviz.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "flashmask/ptx_graph.h"
#include "tests/tools/xml_check.h"
#include "tools/draw/graph_dot.h"
#include "tools/draw/graph_layout.h"
#include "tools/draw/graph_svg.h"
#include "tools/draw/graph_text.h"

namespace flashmask::draw {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

PtxGraph graph_of(const std::string& body) {
  return read_ptx_graph(
      ".version 9.0\n.target sm_80\n.address_size 64\n.entry kernel()\n{ .reg .pred %p<4>; .reg .b32 %r<8>;\n" + body +
      "\n}\n");
}

/// A loop in a loop, a return in the middle, and what nothing leads to.
PtxGraph loops() {
  return graph_of(
      "mov.u32 %r1, 0;\nOUTER: add.s32 %r1, %r1, 1;\nINNER: @%p1 bra INNER;\n@%p2 bra OUTER;\n@%p3 ret;\nbra END;\n"
      "DEAD: add.s32 %r1, %r1, 2;\nEND: bar.sync 0;\nret;");
}

/// Blocks in random order, with returns, indexed branches and what is not reached.
PtxGraph random_graph(std::mt19937& random) {
  const std::size_t count = 2 + random() % 20;
  std::string body;
  for (std::size_t i = 0; i < count; ++i) {
    body += fmt::format("L{}: mov.u32 %r1, {};\n", i, i);
    switch (random() % 6) {
      case 0:
        body += fmt::format("bra L{};\n", random() % count);
        break;
      case 1:
        body += fmt::format("T{}: .branchtargets L{}, L{}, L{};\nbrx.idx %r1, T{};\n", i, random() % count,
                            random() % count, random() % count, i);
        break;
      case 2:
        body += "@%p1 ret;\n";
        break;
      default:
        body += fmt::format("@%p1 bra L{};\n", random() % count);
    }
  }
  return graph_of(body + "ret;");
}

bool inside(const BoxPlace& inner, const BoxPlace& outer) {
  return inner.corner.x > outer.corner.x && inner.corner.y > outer.corner.y &&
         inner.corner.x + inner.size.width < outer.corner.x + outer.size.width &&
         inner.corner.y + inner.size.height < outer.corner.y + outer.size.height;
}

bool apart(const BoxPlace& a, const BoxPlace& b) {
  return a.corner.x + a.size.width < b.corner.x || b.corner.x + b.size.width < a.corner.x ||
         a.corner.y + a.size.height < b.corner.y || b.corner.y + b.size.height < a.corner.y;
}

bool crosses(const Point& from, const Point& to, const BoxPlace& box) {
  return std::max(from.x, to.x) > box.corner.x && std::min(from.x, to.x) < box.corner.x + box.size.width &&
         std::max(from.y, to.y) > box.corner.y && std::min(from.y, to.y) < box.corner.y + box.size.height;
}

void expect_readable(const PtxGraph& graph) {
  const std::vector<BoxSize> sizes(graph.blocks.size(), {120, 40});
  const GraphLayout layout = layout_graph(graph, sizes);
  for (std::size_t i = 0; i < graph.blocks.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) ASSERT_TRUE(apart(layout.blocks[i], layout.blocks[j])) << i << ", " << j;
    for (std::size_t j = 0; j < graph.loops.size(); ++j) {
      const bool holds = std::ranges::count(graph.loops[j].blocks, i) > 0;
      ASSERT_TRUE(holds ? inside(layout.blocks[i], layout.loops[j]) : apart(layout.blocks[i], layout.loops[j]))
          << "block " << i << ", loop " << j;
    }
    ASSERT_LE(layout.blocks[i].corner.x + 120, layout.size.width);
    ASSERT_LE(layout.blocks[i].corner.y + 40, layout.size.height);
  }
  for (std::size_t i = 0; i < graph.loops.size(); ++i) {
    if (graph.loops[i].parent) {
      ASSERT_TRUE(inside(layout.loops[i], layout.loops[*graph.loops[i].parent]));
    }
  }
  std::size_t edges = 0;
  for (const PtxBlock& block : graph.blocks) edges += block.reachable ? block.successors.size() : 0;
  ASSERT_EQ(layout.routes.size(), edges);
  for (const EdgeRoute& route : layout.routes) {
    const BoxPlace& from = layout.blocks[route.block];
    const BoxPlace& to = layout.blocks[graph.blocks[route.block].successors[route.successor].target];
    ASSERT_EQ(route.points.front().y, from.corner.y + from.size.height);
    ASSERT_EQ(route.points.back().y, to.corner.y);
    ASSERT_TRUE(route.points.back().x > to.corner.x && route.points.back().x < to.corner.x + to.size.width);
    for (std::size_t i = 1; i < route.points.size(); ++i) {
      const Point &a = route.points[i - 1], &b = route.points[i];
      ASSERT_TRUE(a.x == b.x || a.y == b.y);
      for (std::size_t block = 0; block < graph.blocks.size(); ++block) {
        ASSERT_FALSE(crosses(a, b, layout.blocks[block])) << "an edge of " << route.block << " crosses " << block;
      }
    }
  }
}

TEST(GraphLayout, BlocksLieInTheFramesOfTheirLoopsAndNoEdgeCrossesOne) {
  expect_readable(loops());
}

TEST(GraphLayout, OfRandomGraphsTooIrreducibleOnesIncluded) {
  std::mt19937 random(3);
  int irreducible = 0;
  for (int round = 0; round < 300; ++round) {
    const PtxGraph graph = random_graph(random);
    irreducible += !graph.irreducible.empty();
    expect_readable(graph);
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(irreducible, 20);
}

TEST(GraphLayout, TheEntryMayBeTheHeaderOfALoop) {
  expect_readable(graph_of("TOP: @%p1 bra TOP;\n@%p2 bra TOP;\nret;"));
}

TEST(GraphText, TellsBlocksLoopsAndWhatCannotBeReduced) {
  const PtxGraph graph = loops();
  EXPECT_EQ(summary_text(graph), "8 blocks (1 unreachable), 2 loops up to depth 2, 9 instructions");
  EXPECT_EQ(loop_text(graph, 1), "loop 1, depth 2, header B2, 1 block");
  EXPECT_EQ(lines_text(graph.blocks[0]), "line 6");
  EXPECT_EQ(lines_text(graph.blocks.back()), "lines 13-14");
  EXPECT_THAT(mix_texts(graph.blocks.back().mix), ElementsAre("1 barrier"));
  EXPECT_EQ(summary_text(graph_of("@%p1 bra B;\nA: mov.u32 %r1, 1;\nB: @%p2 bra A;\nret;")),
            "4 blocks, no loop, 4 instructions; an irreducible cycle of B1, B2, entered at B1, B2");
}

TEST(GraphText, TheMostFrequentClassComesFirst) {
  EXPECT_THAT(
      mix_texts(graph_of("bar.sync 0;\nmov.u32 %r1, 1;\nadd.s32 %r1, %r1, 1;\nadd.s32 %r1, %r1, 1;\nret;").mix()),
      ElementsAre("2 integer", "1 barrier", "1 move"));
}

TEST(GraphSvg, IsWellFormedAndShowsEveryBlockLoopAndEdge) {
  const PtxGraph graph = loops();
  const std::string svg = graph_svg(graph);
  EXPECT_TRUE(test::is_well_formed(svg));
  for (std::size_t i = 0; i < graph.blocks.size(); ++i) EXPECT_THAT(svg, HasSubstr(fmt::format(">B{}<", i)));
  EXPECT_THAT(svg, AllOf(HasSubstr("<title>kernel, sm_80</title>"), HasSubstr("loop 0, depth 1, header B1, 3 blocks"),
                         HasSubstr("loop 1, depth 2, header B2, 1 block<"), HasSubstr("lines 13-14"),
                         HasSubstr(">INNER<"), HasSubstr(">@%p3 ret<"), HasSubstr(">1 barrier<")));
  std::size_t paths = 0, edges = 0;
  for (std::size_t at = svg.find("fill=\"none\""); at != std::string::npos; at = svg.find("fill=\"none\"", at + 1))
    ++paths;
  for (const PtxBlock& block : graph.blocks) edges += block.reachable ? block.successors.size() : 0;
  EXPECT_EQ(paths, edges);
}

TEST(GraphSvg, IsTheSameEveryTimeAndWellFormedForRandomGraphs) {
  std::mt19937 random(9);
  for (int round = 0; round < 50; ++round) {
    const PtxGraph graph = random_graph(random);
    const std::string svg = graph_svg(graph);
    EXPECT_TRUE(test::is_well_formed(svg));
    EXPECT_EQ(svg, graph_svg(graph));
  }
}

TEST(GraphSvg, NamesCannotBreakOut) {
  PtxGraph graph = graph_of("ret;");
  graph.entry = "</title><a> & \x01";
  graph.blocks[0].label = "<b>&\xff";
  graph.blocks[0].terminator = "</svg>";
  const std::string svg = graph_svg(graph);
  EXPECT_TRUE(test::is_well_formed(svg));
  EXPECT_THAT(svg, AllOf(HasSubstr("&lt;/title&gt;&lt;a&gt; &amp; ?, sm_80"), HasSubstr("&lt;b&gt;&amp;?"),
                         HasSubstr("&lt;/svg&gt;"), Not(HasSubstr("<a>"))));
}

TEST(GraphSvg, MoreBlocksThanCanBeReadAreRefused) {
  std::string body;
  for (int i = 0; i < 1023; ++i) body += "@%p1 bra END;\n";
  EXPECT_TRUE(test::is_well_formed(graph_svg(graph_of(body + "END: ret;"))));
  const PtxGraph more = graph_of(body + "@%p1 bra END;\nEND: ret;");
  try {
    graph_svg(more);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("1025 blocks"));
  }
  EXPECT_THAT(graph_dot(more), HasSubstr("B1024 ["));
}

/// Of a text in DOT: every string is closed and every brace has its partner outside of them.
bool is_balanced(const std::string& dot) {
  int open = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < dot.size(); ++i) {
    if (quoted && dot[i] == '\\') {
      ++i;
    } else if (dot[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (dot[i] == '{' || dot[i] == '}')) {
      open += dot[i] == '{' ? 1 : -1;
      if (open < 0 || (open == 0 && i + 2 != dot.size())) return false;
    } else if (quoted && dot[i] == '\n') {
      return false;
    }
  }
  return open == 0 && !quoted;
}

TEST(GraphDot, HasANodePerBlockAnEdgePerSuccessorAndNestedClusters) {
  const std::string dot = graph_dot(loops());
  EXPECT_TRUE(is_balanced(dot));
  EXPECT_THAT(dot, AllOf(HasSubstr("digraph \"kernel\" {"), HasSubstr("  B0 [label=\"B0\\lline 6, 1 instructions\\l"),
                         HasSubstr("B1 -> B2 [label=\"fallthrough\""),
                         HasSubstr("B2 -> B2 [label=\"taken\", color=\"#c2410c\"")));
  const std::size_t outer = dot.find("  subgraph cluster_loop0 {"), inner = dot.find("    subgraph cluster_loop1 {"),
                    block = dot.find("      B2 [label"), end = dot.find("\n  }\n");
  ASSERT_NE(end, std::string::npos);
  EXPECT_LT(outer, inner);
  EXPECT_LT(inner, block);
  EXPECT_LT(block, end);
}

TEST(GraphDot, NamesCannotBreakOut) {
  PtxGraph graph = graph_of("ret;");
  graph.entry = "a\"b\\ { \n}";
  graph.blocks[0].label = "\"]; evil [label=\"\\";
  const std::string dot = graph_dot(graph);
  EXPECT_TRUE(is_balanced(dot)) << dot;
  EXPECT_THAT(dot, HasSubstr("digraph \"a\\\"b\\\\ { ?}\" {"));
}

TEST(GraphDot, IsBalancedForRandomGraphs) {
  std::mt19937 random(13);
  for (int round = 0; round < 50; ++round) EXPECT_TRUE(is_balanced(graph_dot(random_graph(random))));
}

}  // namespace
}  // namespace flashmask::draw
