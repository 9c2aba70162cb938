#include "tools/draw/layered_layout.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "tools/draw/layer_positions.h"
#include "tools/draw/layers.h"
#include "tools/draw/wire_tracks.h"

namespace flashmask::draw {
namespace {

constexpr int kLaneWidth = 12;    ///< of an edge that climbs at the left side
constexpr int kLeastGap = 14;     ///< between layers
constexpr int kTrackHeight = 7;   ///< of each level piece between layers
constexpr int kExitSpacing = 18;  ///< between edges that leave a box
constexpr int kApart = 6;         ///< between an edge that is moved and what lies beside it
constexpr int kBorder = 10;       ///< of a box, where no edge leaves or arrives
constexpr int kClimbEntry = 14;   ///< left of the other edges, where one that climbs arrives

/// A wire of a gap and where it is used.
struct Gap {
  std::vector<Wire> wires;
  std::vector<int> tracks;
  int top = 0;
  int height = 0;
  int y(std::size_t wire) const { return top + kLeastGap / 2 + tracks[wire] * kTrackHeight; }
};

class LayoutBuilder {
 public:
  LayoutBuilder(const std::vector<LayeredBox>& boxes, const std::vector<LayeredEdge>& edges)
      : boxes_(boxes), edges_(edges), layers_(make_layers(boxes.size(), edges)) {}

  LayeredLayout build() {
    assign_lanes();
    left_ = layer_positions(layers_, boxes_);
    for (int& left : left_) left += lane_width_;
    assign_exits();
    straighten();
    assign_entries();
    fill_gaps();
    place();
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      layout_.routes.push_back(layers_.climbs[i] ? climbing_route(i) : route(i));
    }
    layout_.climbs = layers_.climbs;
    return std::move(layout_);
  }

 private:
  bool is_box(std::size_t node) const { return layers_.nodes[node].box.has_value(); }
  int right_of(std::size_t node) const { return left_[node] + (is_box(node) ? boxes_[node].width : 0); }
  std::size_t layer(std::size_t node) const { return layers_.nodes[node].layer; }

  /// One lane for every box that edges climb to, the first box's at the very left.
  void assign_lanes() {
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      if (layers_.climbs[i]) lanes_.try_emplace(*edges_[i].to, 0);
    }
    int at = kLaneWidth / 2;
    for (auto& [box, lane] : lanes_) {
      lane = at;
      at += kLaneWidth;
    }
    lane_width_ = static_cast<int>(lanes_.size()) * kLaneWidth;
  }

  /// What leaves a box leaves it side by side, in the order of where it goes: first to the lanes, then from left to
  /// right.
  void assign_exits() {
    exits_.resize(edges_.size(), 0);
    std::map<std::size_t, std::map<std::pair<int, std::size_t>, std::vector<std::size_t>>> leaving;
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      const std::size_t from = edges_[i].from;
      if (edges_[i].exit) {
        exits_[i] = left_[from] + *edges_[i].exit;
      } else if (layers_.climbs[i]) {
        leaving[from][{-1, *edges_[i].to}].push_back(i);
      } else {
        const std::size_t lower = layers_.steps[layers_.ways[i].front()].lower;
        const int middle =
            is_box(lower) ? left_[lower] + boxes_[lower].entry.value_or(boxes_[lower].width / 2) : left_[lower];
        leaving[from][{middle, lower}].push_back(i);
      }
    }
    for (const auto& [box, groups] : leaving) {
      const int count = static_cast<int>(groups.size());
      const int spacing = std::min(kExitSpacing, std::max(1, (boxes_[box].width - 2 * kBorder) / count));
      int at = left_[box] + boxes_[box].width / 2 - spacing * (count - 1) / 2;
      for (const auto& [target, edges] : groups) {
        for (std::size_t edge : edges) exits_[edge] = at;
        at += spacing;
      }
    }
  }

  /// Where a step begins: of a box, where its edges leave it.
  int begin_of(std::size_t step) const {
    const std::size_t upper = layers_.steps[step].upper;
    return is_box(upper) ? step_exit_[step] : left_[upper];
  }
  int end_of(std::size_t step) const {
    const std::size_t lower = layers_.steps[step].lower;
    return is_box(lower) ? entries_[lower] : left_[lower];
  }

  /// Takes small bends out of edges that are alone, as far as what lies beside them stays apart.
  void straighten() {
    step_exit_.resize(layers_.steps.size());
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      if (!layers_.ways[i].empty()) step_exit_[layers_.ways[i].front()] = exits_[i];
    }
    std::vector<std::vector<std::size_t>> arriving(layers_.nodes.size());
    for (std::size_t i = 0; i < layers_.steps.size(); ++i) arriving[layers_.steps[i].lower].push_back(i);
    for (const auto& layer : layers_.order) {
      for (std::size_t i = 0; i < layer.size(); ++i) {
        const std::size_t node = layer[i];
        if (is_box(node) || arriving[node].size() != 1) continue;
        const int wanted = begin_of(arriving[node].front());
        const bool near = std::abs(wanted - left_[node]) <= kExitSpacing;
        const bool clear_left = i == 0 ? wanted > lane_width_ : right_of(layer[i - 1]) + kApart <= wanted;
        const bool clear_right = i + 1 == layer.size() || wanted + kApart <= left_[layer[i + 1]];
        if (near && clear_left && clear_right) left_[node] = wanted;
      }
    }
  }

  /// A box that one step leads to is entered where that comes from, if it can be.
  void assign_entries() {
    std::vector<std::vector<std::size_t>> arriving(boxes_.size());
    for (std::size_t i = 0; i < layers_.steps.size(); ++i) {
      if (is_box(layers_.steps[i].lower)) arriving[layers_.steps[i].lower].push_back(i);
    }
    for (std::size_t box = 0; box < boxes_.size(); ++box) {
      const int width = boxes_[box].width;
      int entry = left_[box] + boxes_[box].entry.value_or(width / 2);
      if (!boxes_[box].entry && arriving[box].size() == 1) {
        const int least = left_[box] + kBorder + (lanes_.contains(box) ? kClimbEntry : 0);
        entry = std::clamp(begin_of(arriving[box].front()), least, std::max(least, left_[box] + width - kBorder));
      }
      entries_.push_back(entry);
    }
    layout_.entry = entries_.front();
  }

  std::size_t add_wire(std::size_t gap, const Wire& wire) {
    gaps_[gap].wires.push_back(wire);
    return gaps_[gap].wires.size() - 1;
  }

  /// The gap above every layer, and the one below the last layer of boxes.
  void fill_gaps() {
    gaps_.resize(layers_.order.size());
    const std::size_t nets = 2 * (layers_.nodes.size() + 1);
    for (std::size_t i = 0; i < layers_.steps.size(); ++i) {
      const LayerStep& step = layers_.steps[i];
      wire_of_step_.push_back(
          add_wire(layer(step.lower), {.from = begin_of(i), .to = end_of(i), .net = 2 * step.net, .falls = true}));
    }
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      wires_of_climb_.emplace_back();
      if (!layers_.climbs[i]) continue;
      const std::size_t to = *edges_[i].to;
      const int lane = lanes_.at(to);
      wires_of_climb_.back() = {
          add_wire(layer(edges_[i].from) + 1, {.from = exits_[i], .to = lane, .net = 2 * to + 1, .falls = false}),
          add_wire(layer(to), {.from = lane, .to = entries_[to] - kClimbEntry, .net = nets + to, .falls = true})};
    }
    for (Gap& gap : gaps_) {
      gap.tracks = wire_tracks(gap.wires);
      const int tracks = gap.tracks.empty() ? 0 : *std::ranges::max_element(gap.tracks);
      gap.height = kLeastGap + tracks * kTrackHeight;
    }
    // Nothing arrives at the first layer but what climbs.
    if (gaps_.front().wires.empty()) gaps_.front().height = 0;
  }

  void place() {
    layout_.boxes.resize(boxes_.size());
    int y = 0;
    for (std::size_t i = 0; i < layers_.order.size(); ++i) {
      gaps_[i].top = y;
      y += gaps_[i].height;
      int height = 0;
      for (std::size_t node : layers_.order[i]) {
        const int right = left_[node] + (is_box(node) ? boxes_[node].width : kLaneWidth / 2);
        layout_.width = std::max(layout_.width, right);
        if (!is_box(node)) continue;
        layout_.boxes[node] = {left_[node], y};
        height = std::max(height, boxes_[node].height);
      }
      y += height;
    }
    layout_.height = y;
  }

  Point leaves(std::size_t edge) const {
    const std::size_t from = edges_[edge].from;
    return {exits_[edge], layout_.boxes[from].y + boxes_[from].height};
  }

  std::vector<Point> route(std::size_t edge) const {
    std::vector<Point> points = {leaves(edge)};
    for (std::size_t i : layers_.ways[edge]) {
      const Gap& gap = gaps_[layer(layers_.steps[i].lower)];
      const int y = gap.y(wire_of_step_[i]), to = end_of(i);
      if (points.back().x == to) continue;
      points.push_back({points.back().x, y});
      points.push_back({to, y});
    }
    points.push_back({points.back().x, edges_[edge].to ? layout_.boxes[*edges_[edge].to].y : layout_.height});
    return points;
  }

  std::vector<Point> climbing_route(std::size_t edge) const {
    const std::size_t to = *edges_[edge].to;
    const auto [down, up] = wires_of_climb_[edge];
    const int lane = lanes_.at(to), lower = gaps_[layer(edges_[edge].from) + 1].y(down), upper = gaps_[layer(to)].y(up);
    const int entry = entries_[to] - kClimbEntry;
    return {leaves(edge),  {exits_[edge], lower}, {lane, lower},
            {lane, upper}, {entry, upper},        {entry, layout_.boxes[to].y}};
  }

  const std::vector<LayeredBox>& boxes_;
  const std::vector<LayeredEdge>& edges_;
  Layers layers_;
  LayeredLayout layout_;
  std::map<std::size_t, int> lanes_;  ///< by box, the lane of what climbs there
  int lane_width_ = 0;
  std::vector<int> left_;       ///< by node
  std::vector<int> exits_;      ///< by edge
  std::vector<int> entries_;    ///< by box
  std::vector<int> step_exit_;  ///< by step from a box
  std::vector<Gap> gaps_;
  std::vector<std::size_t> wire_of_step_;
  struct ClimbWires {
    std::size_t down = 0, up = 0;
  };
  std::vector<ClimbWires> wires_of_climb_;
};

}  // namespace

LayeredLayout layered_layout(const std::vector<LayeredBox>& boxes, const std::vector<LayeredEdge>& edges) {
  return LayoutBuilder(boxes, edges).build();
}

}  // namespace flashmask::draw
