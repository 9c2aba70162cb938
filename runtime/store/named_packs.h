#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache/pack.h"
#include "flashmask/runtime.h"

namespace flashmask {

/// A pack that a policy names: opened, or refused.
struct NamedPack {
  std::string name;                         ///< its path, or "embedded pack 1"
  std::shared_ptr<const cache::Pack> pack;  ///< null: see the refusal
  std::string refusal;                      ///< names the pack, and the command that mends it where there is one
};

/// The packs of a policy in the order in which they are looked through: those of files, then the embedded ones.
std::vector<NamedPack> open_packs(const Policy& policy);

}  // namespace flashmask
