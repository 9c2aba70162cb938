#include <fmt/format.h>

#include <algorithm>

#include "flashmask/cubin_listing.h"

namespace flashmask {
namespace {

constexpr std::size_t kLongestShownName = 100;

std::string shown(const std::string& name) {
  return name.size() <= kLongestShownName ? name : name.substr(0, kLongestShownName) + "...";
}

class Comparison {
 public:
  explicit Comparison(std::size_t most) : most_(most) {}

  void compare_names(const std::string& what, const std::string& ours, const std::string& theirs) {
    if (ours != theirs && found_.size() < most_) {
      found_.push_back(fmt::format("{}: {} and {}", what, shown(ours), shown(theirs)));
    }
  }

  template <typename Value>
  void compare(const std::string& what, const Value& ours, const Value& theirs) {
    if (ours != theirs && found_.size() < most_) found_.push_back(fmt::format("{}: {} and {}", what, ours, theirs));
  }

  /// The things themselves as far as both have them, and their number.
  template <typename Thing, typename Compare>
  void compare_all(std::string_view what, const std::vector<Thing>& ours, const std::vector<Thing>& theirs,
                   Compare&& compare_one) {
    compare(fmt::format("number of {}s", what), ours.size(), theirs.size());
    for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
      if (found_.size() >= most_) return;
      if (ours[i] != theirs[i]) compare_one(fmt::format("{} {}", what, i), ours[i], theirs[i]);
    }
  }

  std::vector<std::string> take() { return std::move(found_); }

 private:
  std::size_t most_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> differences(const CubinListing& ours, const CubinListing& theirs, std::size_t most) {
  Comparison found(most);
  found.compare("SM", ours.sm, theirs.sm);
  found.compare("ABI version", ours.abi_version, theirs.abi_version);
  found.compare("flags", ours.flags, theirs.flags);
  found.compare_all("section", ours.sections, theirs.sections,
                    [&](const std::string& what, const CubinSection& a, const CubinSection& b) {
                      found.compare_names(what + ", name", a.name, b.name);
                      found.compare(what + ", type", a.type, b.type);
                      found.compare(what + ", flags", a.flags, b.flags);
                      found.compare(what + ", address", a.address, b.address);
                      found.compare(what + ", offset", a.offset, b.offset);
                      found.compare(what + ", size", a.size, b.size);
                      found.compare(what + ", link", a.link, b.link);
                      found.compare(what + ", info", a.info, b.info);
                      found.compare(what + ", alignment", a.alignment, b.alignment);
                      found.compare(what + ", entry size", a.entry_size, b.entry_size);
                    });
  found.compare_all("symbol", ours.symbols, theirs.symbols,
                    [&](const std::string& what, const CubinSymbol& a, const CubinSymbol& b) {
                      found.compare_names(what + ", name", a.name, b.name);
                      found.compare(what + ", info", a.info, b.info);
                      found.compare(what + ", other", a.other, b.other);
                      found.compare(what + ", section", a.section, b.section);
                      found.compare(what + ", value", a.value, b.value);
                      found.compare(what + ", size", a.size, b.size);
                    });
  found.compare_all("note", ours.notes, theirs.notes,
                    [&](const std::string& what, const CubinNote& a, const CubinNote& b) {
                      found.compare_names(what + ", section", a.section, b.section);
                      found.compare_names(what + ", owner", a.owner, b.owner);
                      found.compare(what + ", type", a.type, b.type);
                      found.compare(what + ", bytes", a.content.size(), b.content.size());
                      found.compare(what + ", content is equal", true, a.content == b.content);
                    });
  return found.take();
}

}  // namespace flashmask
