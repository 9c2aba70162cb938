#include "runtime/store/named_packs.h"

#include <fmt/format.h>

#include <utility>

namespace flashmask {

std::vector<NamedPack> open_packs(const Policy& policy) {
  std::vector<NamedPack> packs;
  for (const std::string& path : policy.packs) {
    // What is relative to the current directory may be anybody's code.
    if (!path.starts_with('/')) {
      packs.push_back({path, nullptr,
                       fmt::format("the pack \"{}\": its path is not absolute; name one that begins with '/'", path)});
      continue;
    }
    cache::Pack::Opening opening = cache::Pack::open(path);
    packs.push_back({path, std::move(opening.pack), std::move(opening.refusal)});
  }
  for (std::size_t i = 0; i < policy.embedded_packs.size(); ++i) {
    std::string name = fmt::format("embedded pack {}", i + 1);
    cache::Pack::Opening opening = cache::Pack::from_memory(policy.embedded_packs[i], name);
    packs.push_back({std::move(name), std::move(opening.pack), std::move(opening.refusal)});
  }
  return packs;
}

}  // namespace flashmask
