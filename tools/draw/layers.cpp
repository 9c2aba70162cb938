#include "tools/draw/layers.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace flashmask::draw {
namespace {

constexpr int kSweeps = 8;

/// Marks the edges that lead to a box on the way to which they lie, and returns the boxes so that all other edges lead
/// onwards.
std::vector<std::size_t> search(std::size_t boxes, const std::vector<LayeredEdge>& edges, std::vector<bool>& climbs) {
  struct Step {
    std::size_t box, next;
  };
  enum class State { kNew, kOpen, kDone };
  std::vector<std::vector<std::size_t>> leaving(boxes);
  for (std::size_t i = 0; i < edges.size(); ++i) leaving[edges[i].from].push_back(i);
  std::vector<State> states(boxes, State::kNew);
  std::vector<std::size_t> finished;
  for (std::size_t root = 0; root < boxes; ++root) {
    if (states[root] != State::kNew) continue;
    std::vector<Step> way = {{root, 0}};
    states[root] = State::kOpen;
    while (!way.empty()) {
      auto& [box, next] = way.back();
      if (next == leaving[box].size()) {
        states[box] = State::kDone;
        finished.push_back(box);
        way.pop_back();
        continue;
      }
      const std::size_t edge = leaving[box][next++];
      if (!edges[edge].to) continue;
      const std::size_t to = *edges[edge].to;
      climbs[edge] = states[to] == State::kOpen;
      if (states[to] != State::kNew) continue;
      states[to] = State::kOpen;
      way.push_back({to, 0});
    }
  }
  std::ranges::reverse(finished);
  return finished;
}

class LayerBuilder {
 public:
  LayerBuilder(std::size_t boxes, const std::vector<LayeredEdge>& edges) : boxes_(boxes), edges_(edges) {}

  Layers build() {
    layers_.climbs.resize(edges_.size(), false);
    const std::vector<std::size_t> onwards = search(boxes_, edges_, layers_.climbs);
    assign(onwards);
    for (std::size_t i = 0; i < edges_.size(); ++i) layers_.ways.push_back(way_of(i));
    order(onwards);
    return std::move(layers_);
  }

 private:
  void assign(const std::vector<std::size_t>& onwards) {
    std::vector<std::vector<std::size_t>> leaving(boxes_);
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      if (edges_[i].to && !layers_.climbs[i]) leaving[edges_[i].from].push_back(*edges_[i].to);
    }
    for (std::size_t i = 0; i < boxes_; ++i) layers_.nodes.push_back({.box = i, .net = i, .layer = 0});
    for (std::size_t box : onwards) {
      const std::size_t layer = layers_.nodes[box].layer;
      last_ = std::max(last_, layer + 1);
      for (std::size_t to : leaving[box]) layers_.nodes[to].layer = std::max(layers_.nodes[to].layer, layer + 1);
    }
  }

  std::size_t net_of(const LayeredEdge& edge) const { return edge.to ? *edge.to : boxes_ + edge.place; }

  std::size_t place(std::size_t net, std::size_t layer) {
    const auto [found, fresh] = places_.try_emplace({net, layer}, layers_.nodes.size());
    if (fresh) layers_.nodes.push_back({.box = std::nullopt, .net = net, .layer = layer});
    return found->second;
  }

  /// A step from a box is the edge's own where the edge has an exit of its own.
  std::size_t step(std::size_t upper, std::size_t lower, std::size_t net, std::optional<int> exit) {
    const auto [found, fresh] = steps_.try_emplace({upper, lower, exit.value_or(-1)}, layers_.steps.size());
    if (fresh) layers_.steps.push_back({.upper = upper, .lower = lower, .net = net, .exit = exit});
    return found->second;
  }

  std::vector<std::size_t> way_of(std::size_t index) {
    const LayeredEdge& edge = edges_[index];
    if (layers_.climbs[index]) return {};
    const std::size_t net = net_of(edge), end = edge.to ? layers_.nodes[*edge.to].layer : last_;
    std::vector<std::size_t> way;
    std::size_t at = edge.from;
    for (std::size_t layer = layers_.nodes[at].layer + 1; layer <= end; ++layer) {
      const std::size_t next = layer == end && edge.to ? *edge.to : place(net, layer);
      way.push_back(step(at, next, net, at == edge.from ? edge.exit : std::nullopt));
      at = next;
    }
    return way;
  }

  void order(const std::vector<std::size_t>& onwards) {
    layers_.order.resize(last_ + 1);
    for (std::size_t box : onwards) layers_.order[layers_.nodes[box].layer].push_back(box);
    for (std::size_t i = boxes_; i < layers_.nodes.size(); ++i) layers_.order[layers_.nodes[i].layer].push_back(i);
    above_.resize(layers_.nodes.size());
    below_.resize(layers_.nodes.size());
    for (const LayerStep& each : layers_.steps) {
      above_[each.lower].push_back(each.upper);
      below_[each.upper].push_back(each.lower);
    }
    position_.resize(layers_.nodes.size());
    for (const auto& layer : layers_.order) number(layer);
    std::vector<std::vector<std::size_t>> best;
    std::size_t fewest = ~std::size_t{0};
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (std::size_t i = 1; i < layers_.order.size(); ++i) sort(layers_.order[i], above_);
      keep_best(best, fewest);
      for (std::size_t i = layers_.order.size() - 1; i-- > 0;) sort(layers_.order[i], below_);
      keep_best(best, fewest);
    }
    layers_.order = std::move(best);
  }

  void number(const std::vector<std::size_t>& layer) {
    for (std::size_t i = 0; i < layer.size(); ++i) position_[layer[i]] = i;
  }

  /// By the mean position of what each is connected with; what is not connected stays where it is.
  void sort(std::vector<std::size_t>& layer, const std::vector<std::vector<std::size_t>>& connected) {
    std::vector<std::pair<double, std::size_t>> keys;
    for (std::size_t node : layer) {
      double sum = 0;
      for (std::size_t other : connected[node]) sum += static_cast<double>(position_[other]);
      const auto count = static_cast<double>(connected[node].size());
      keys.emplace_back(count == 0 ? static_cast<double>(position_[node]) : sum / count, node);
    }
    std::ranges::stable_sort(keys, {}, &std::pair<double, std::size_t>::first);
    for (std::size_t i = 0; i < layer.size(); ++i) layer[i] = keys[i].second;
    number(layer);
  }

  void keep_best(std::vector<std::vector<std::size_t>>& best, std::size_t& fewest) const {
    const std::size_t found = crossings();
    if (found >= fewest) return;
    fewest = found;
    best = layers_.order;
  }

  std::size_t crossings() const {
    std::size_t sum = 0;
    for (const auto& layer : layers_.order) {
      std::vector<std::size_t> ends;  // of the steps so far, ascending
      for (std::size_t node : layer) {
        for (std::size_t lower : below_[node]) {
          const auto behind = std::ranges::upper_bound(ends, position_[lower]);
          sum += static_cast<std::size_t>(ends.end() - behind);
        }
        for (std::size_t lower : below_[node]) {
          ends.insert(std::ranges::upper_bound(ends, position_[lower]), position_[lower]);
        }
      }
    }
    return sum;
  }

  std::size_t boxes_;
  const std::vector<LayeredEdge>& edges_;
  Layers layers_;
  std::size_t last_ = 0;                                               ///< the layer behind those of boxes
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> places_;  ///< by net and layer
  std::map<std::tuple<std::size_t, std::size_t, int>, std::size_t> steps_;
  std::vector<std::vector<std::size_t>> above_, below_;  ///< by node
  std::vector<std::size_t> position_;                    ///< by node, in its layer
};

}  // namespace

Layers make_layers(std::size_t boxes, const std::vector<LayeredEdge>& edges) {
  return LayerBuilder(boxes, edges).build();
}

}  // namespace flashmask::draw
