#include "runtime/manifest/read_axes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "runtime/manifest/nearest_name.h"

namespace flashmask {
namespace {

constexpr std::size_t kMostValues = 4096;
constexpr std::array kKeys = {kPassKey,      kDtypeKey,         kHeadDimKey, kFormKey,
                              kAlignmentKey, kDeterministicKey, kTargetKey,  kConfigKey};

constexpr std::string_view kPassesAllowed = "forward, backward, mask-plan or mask-build";
constexpr std::string_view kDtypesAllowed = "fp16 or bf16";
constexpr std::string_view kHeadDimsAllowed =
    "a multiple of 8 from 8 to 256, or a pair [qk, v] of them within the list: [64, [192, 128]]";
constexpr std::string_view kFormsAllowed = "none, causal, window, c1, c2, f2, f4 or all";
constexpr std::string_view kAlignmentsAllowed = "bottom-right or top-left";
constexpr std::string_view kDeterministicAllowed = "true or false";
constexpr std::string_view kConfigsAllowed =
    "default, or a configuration as `flashmask explain` prints it, such as 128x64,w4,s2";

/// One table while it is read.
class AxesReader {
 public:
  AxesReader(const TomlTable& table, Place place, TextErrors& errors) : table_(table), place_(place), errors_(errors) {
    for (const TomlKey& key : table_)
      if (std::find(kKeys.begin(), kKeys.end(), key.name) == kKeys.end()) fail_unknown(key);
  }

  std::optional<KernelAxes> read(const std::vector<Target>& targets) {
    axes_.passes = names(kPassKey, parse_pass, kPassesAllowed);
    const bool knows_passes = !has_failed_ && !axes_.passes.empty();
    axes_.dtypes = names(kDtypeKey, parse_data_type, kDtypesAllowed);
    axes_.head_dims = values<HeadDims>(kHeadDimKey, head_dims_of, kHeadDimsAllowed);
    const bool knows_forms = read_forms();
    axes_.alignments = names(kAlignmentKey, parse_causal_alignment, kAlignmentsAllowed);
    axes_.deterministic = values<bool>(kDeterministicKey, flag_of, kDeterministicAllowed);
    axes_.targets = names(kTargetKey, parse_target, known_targets());
    axes_.configs = values<std::optional<TileConfig>>(kConfigKey, config_of, kConfigsAllowed);

    require(kPassKey, kPassesAllowed);
    require(kFormKey, kFormsAllowed);
    if (targets.empty()) require(kTargetKey, known_targets());
    if (knows_passes) {
      judge_attention();
      judge_determinism();
      if (knows_forms) judge_alignment();
    }
    if (has_failed_) return std::nullopt;

    if (!targets.empty()) axes_.targets = targets;
    if (axes_.alignments.empty()) axes_.alignments = {CausalAlignment::kBottomRight};
    if (axes_.deterministic.empty()) axes_.deterministic = {false};
    if (axes_.configs.empty()) axes_.configs = {std::nullopt};
    return std::move(axes_);
  }

 private:
  const TomlKey* find(std::string_view name) const {
    for (const TomlKey& key : table_)
      if (key.name == name) return &key;
    return nullptr;
  }

  void fail(Place place, std::string what) {
    has_failed_ = true;
    errors_.add(place, std::move(what));
  }
  void fail_unknown(const TomlKey& key) {
    has_failed_ = true;
    add_unknown_key(key, kKeys, errors_);
  }

  void require(std::string_view name, std::string_view allowed) {
    if (!find(name)) fail(place_, fmt::format("this table has no {}; allowed: {}", name, allowed));
  }

  /// Every value of a key, which is one or a list of them; `parse` gives nothing for a value that is not allowed.
  template <typename Value, typename Parse>
  std::vector<Value> values(std::string_view name, Parse parse, std::string_view allowed) {
    std::vector<Value> result;
    const TomlKey* key = find(name);
    if (!key) return result;
    const auto* list = std::get_if<TomlArray>(&key->value.content);
    if (list && (list->empty() || list->size() > kMostValues)) {
      fail(key->value.place, fmt::format("{} = {}: a list has 1 to {} values", name, shown(key->value), kMostValues));
      return result;
    }
    for (const TomlValue& value : list ? std::span(*list) : std::span(&key->value, 1)) {
      const std::optional<Value> parsed = parse(value);
      if (!parsed)
        fail(value.place, fmt::format("{} = {}: allowed: {}", name, shown(value), allowed));
      else if (std::find(result.begin(), result.end(), *parsed) == result.end())
        result.push_back(*parsed);
    }
    return result;
  }

  /// The same of values that are names.
  template <typename Value>
  std::vector<Value> names(std::string_view name, std::optional<Value> (*parse)(std::string_view),
                           std::string_view allowed) {
    return values<Value>(
        name,
        [parse](const TomlValue& value) -> std::optional<Value> {
          const auto* text = std::get_if<std::string>(&value.content);
          return text ? parse(*text) : std::nullopt;
        },
        allowed);
  }

  /// Whether all of them are known.
  bool read_forms() {
    const auto parse = [this](const TomlValue& value) -> std::optional<MaskForm> {
      const auto* text = std::get_if<std::string>(&value.content);
      if (!text) return std::nullopt;
      if (*text != kAllForms) return parse_mask_form(*text);
      axes_.all_forms = true;
      return MaskForm::kNone;
    };
    const bool had_failed = std::exchange(has_failed_, false);
    axes_.forms = values<MaskForm>(kFormKey, parse, kFormsAllowed);
    const bool are_known = !has_failed_ && !axes_.forms.empty();
    has_failed_ = has_failed_ || had_failed;
    return are_known;
  }

  // Refuse what is missing for the passes of this table, and what none of its kernels would heed.

  void judge_attention() {
    const auto attention = std::find_if(axes_.passes.begin(), axes_.passes.end(), is_attention);
    const bool is_needed = attention != axes_.passes.end();
    const std::string_view pass = to_string(is_needed ? *attention : axes_.passes.front());
    for (const auto& [name, allowed] : {std::pair(kDtypeKey, kDtypesAllowed), std::pair(kHeadDimKey, kHeadDimsAllowed),
                                        std::pair(kConfigKey, std::string_view())}) {
      const TomlKey* key = find(name);
      if (key && !is_needed) fail(key->place, fmt::format("{}: a {} has none; leave it out", name, pass));
      if (!key && is_needed && !allowed.empty())
        fail(place_, fmt::format("this table has no {}, which a {} needs; allowed: {}", name, pass, allowed));
    }
  }

  void judge_determinism() {
    if (std::find(axes_.passes.begin(), axes_.passes.end(), Pass::kBackward) != axes_.passes.end()) return;
    if (std::find(axes_.deterministic.begin(), axes_.deterministic.end(), true) == axes_.deterministic.end()) return;
    fail(find(kDeterministicKey)->place,
         fmt::format("{} = true: only the backward has a choice, a {} always repeats its bits; leave it out",
                     kDeterministicKey, to_string(axes_.passes.front())));
  }

  void judge_alignment() {
    const auto has_any = [this](Pass pass) {
      const auto forms = axes_.all_forms ? forms_of(pass) : std::span<const MaskForm>(axes_.forms);
      return std::any_of(forms.begin(), forms.end(), [pass](MaskForm form) { return has_alignment(pass, form); });
    };
    if (std::any_of(axes_.passes.begin(), axes_.passes.end(), has_any)) return;
    if (std::find(axes_.alignments.begin(), axes_.alignments.end(), CausalAlignment::kTopLeft) !=
        axes_.alignments.end())
      fail(
          find(kAlignmentKey)->place,
          fmt::format("{} = \"top-left\": none of these kernels has a diagonal to align; leave it out", kAlignmentKey));
  }

  static std::optional<int> head_dim_of(const TomlValue& value) {
    const auto* number = std::get_if<std::int64_t>(&value.content);
    if (!number || *number < 8 || *number > 256 || *number % 8 != 0) return std::nullopt;
    return static_cast<int>(*number);
  }

  static std::optional<HeadDims> head_dims_of(const TomlValue& value) {
    if (const auto both = head_dim_of(value)) return HeadDims{*both, *both};
    const auto* pair = std::get_if<TomlArray>(&value.content);
    if (!pair || pair->size() != 2) return std::nullopt;
    const auto qk = head_dim_of(pair->front()), v = head_dim_of(pair->back());
    return qk && v ? std::optional(HeadDims{*qk, *v}) : std::nullopt;
  }

  static std::optional<bool> flag_of(const TomlValue& value) {
    const bool* flag = std::get_if<bool>(&value.content);
    return flag ? std::optional(*flag) : std::nullopt;
  }

  static std::optional<std::optional<TileConfig>> config_of(const TomlValue& value) {
    const auto* text = std::get_if<std::string>(&value.content);
    if (!text) return std::nullopt;
    if (*text == kDefaultConfig) return std::optional<TileConfig>();
    const std::optional<TileConfig> config = parse_tile_config(*text);
    if (!config) return std::nullopt;
    return std::optional<std::optional<TileConfig>>(config);
  }

  const TomlTable& table_;
  const Place place_;
  TextErrors& errors_;
  KernelAxes axes_;
  bool has_failed_ = false;
};

}  // namespace

std::optional<KernelAxes> read_axes(const TomlTable& table, Place place, const std::vector<Target>& targets,
                                    TextErrors& errors) {
  return AxesReader(table, place, errors).read(targets);
}

void add_unknown_key(const TomlKey& key, std::span<const std::string_view> known, TextErrors& errors) {
  const auto meant = nearest_name(key.name, known);
  errors.add(key.place,
             fmt::format("{}: this key is unknown{}; known are {}", shown(key.name),
                         meant ? fmt::format(", {} is probably meant", *meant) : "", fmt::join(known, ", ")));
}

}  // namespace flashmask
