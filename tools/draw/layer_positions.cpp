#include "tools/draw/layer_positions.h"

#include <algorithm>
#include <cmath>

namespace flashmask::draw {
namespace {

constexpr int kBoxGap = 28;
constexpr int kPlaceGap = 14;  ///< beside a place that edges pass through
constexpr int kSweeps = 6;
/// What the straightness of a step counts, by how many of its ends are places: the longer the edge, the more.
constexpr double kStraightness[] = {1, 2, 8};

class Positions {
 public:
  Positions(const Layers& layers, const std::vector<LayeredBox>& boxes)
      : layers_(layers), boxes_(boxes), left_(layers.nodes.size(), 0), above_(left_.size()), below_(left_.size()) {
    for (std::size_t i = 0; i < layers.steps.size(); ++i) {
      above_[layers.steps[i].lower].push_back(i);
      below_[layers.steps[i].upper].push_back(i);
    }
  }

  std::vector<int> find() {
    for (const auto& layer : layers_.order) place(layer, std::vector<double>(layer.size(), 0), {});
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (std::size_t i = layers_.order.size() - 1; i-- > 0;) align(layers_.order[i], below_, false);
      for (std::size_t i = 1; i < layers_.order.size(); ++i) align(layers_.order[i], above_, true);
    }
    const int least = *std::ranges::min_element(left_);
    for (int& left : left_) left -= least;
    return std::move(left_);
  }

 private:
  bool is_box(std::size_t node) const { return layers_.nodes[node].box.has_value(); }
  int width(std::size_t node) const { return is_box(node) ? boxes_[node].width : 0; }
  int gap(std::size_t left, std::size_t right) const { return is_box(left) && is_box(right) ? kBoxGap : kPlaceGap; }
  /// From the left side of a node, where a step leaves it or arrives.
  int exit(const LayerStep& step) const { return step.exit.value_or(width(step.upper) / 2); }
  int entry(const LayerStep& step) const {
    return is_box(step.lower) ? boxes_[step.lower].entry.value_or(width(step.lower) / 2) : 0;
  }

  /// Moves the nodes of a layer to where their steps from one side are straight.
  void align(const std::vector<std::size_t>& layer, const std::vector<std::vector<std::size_t>>& steps,
             bool from_above) {
    std::vector<double> wanted, weights;
    for (std::size_t node : layer) {
      double sum = 0, weight = 0;
      for (std::size_t i : steps[node]) {
        const LayerStep& step = layers_.steps[i];
        const double each = kStraightness[!is_box(step.upper) + !is_box(step.lower)];
        const int place =
            from_above ? left_[step.upper] + exit(step) - entry(step) : left_[step.lower] + entry(step) - exit(step);
        sum += each * place;
        weight += each;
      }
      wanted.push_back(weight == 0 ? left_[node] : sum / weight);
      weights.push_back(weight == 0 ? 0.1 : weight);
    }
    place(layer, wanted, weights);
  }

  /// As near to `wanted` as order and gaps allow, by least squares: neighbours that would overlap move as one.
  void place(const std::vector<std::size_t>& layer, const std::vector<double>& wanted,
             const std::vector<double>& weights) {
    struct Group {
      double place, weight;  ///< of its first node, less all that lies to its left when packed
      std::size_t count;
    };
    std::vector<Group> groups;
    std::vector<int> packed;
    for (std::size_t i = 0; i < layer.size(); ++i) {
      packed.push_back(i == 0 ? 0 : packed.back() + width(layer[i - 1]) + gap(layer[i - 1], layer[i]));
      groups.push_back({wanted[i] - packed[i], weights.empty() ? 1.0 : weights[i], 1});
      while (groups.size() > 1 && groups[groups.size() - 2].place >= groups.back().place) {
        const Group last = groups.back();
        groups.pop_back();
        Group& into = groups.back();
        into.place = (into.place * into.weight + last.place * last.weight) / (into.weight + last.weight);
        into.weight += last.weight;
        into.count += last.count;
      }
    }
    std::size_t at = 0;
    for (const Group& group : groups) {
      for (std::size_t i = 0; i < group.count; ++i, ++at) {
        left_[layer[at]] = static_cast<int>(std::lround(group.place)) + packed[at];
      }
    }
  }

  const Layers& layers_;
  const std::vector<LayeredBox>& boxes_;
  std::vector<int> left_;
  std::vector<std::vector<std::size_t>> above_, below_;  ///< steps, by node
};

}  // namespace

std::vector<int> layer_positions(const Layers& layers, const std::vector<LayeredBox>& boxes) {
  return Positions(layers, boxes).find();
}

}  // namespace flashmask::draw
