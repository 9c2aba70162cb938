#include "tests/tools/xml_check.h"

#include <vector>

namespace flashmask::test {

bool is_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  bool root_seen = false;
  std::size_t at = 0;
  while (at < xml.size()) {
    if (xml[at] != '<') {
      if (open.empty() && xml[at] != '\n') return false;
      if (xml[at] == '&' && xml.find(';', at) == std::string::npos) return false;
      ++at;
      continue;
    }
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.starts_with('/')) {
      if (open.empty() || "/" + open.back() != tag) return false;
      open.pop_back();
    } else {
      if (open.empty() && root_seen) return false;
      root_seen = true;
      if (!tag.ends_with('/')) open.push_back(name);
    }
    at = end + 1;
  }
  return root_seen && open.empty();
}

}  // namespace flashmask::test
