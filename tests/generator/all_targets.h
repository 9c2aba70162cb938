#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::test {

/// Every target that has a name.
inline std::vector<Target> all_targets() {
  std::vector<Target> targets;
  std::string names = known_targets();
  std::erase(names, ',');
  std::istringstream stream(names);
  for (std::string name; stream >> name;) targets.push_back(*parse_target(name));
  return targets;
}

inline constexpr MaskForm kAllForms[] = {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1,
                                         MaskForm::kC2,   MaskForm::kF2,     MaskForm::kF4};

}  // namespace flashmask::test
