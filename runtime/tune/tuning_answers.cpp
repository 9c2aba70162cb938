#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/tuning_database.h"

namespace flashmask {

std::vector<TuningRecord> read_tuning_answers(const std::string& path) {
  if (!path.ends_with(".json")) return TuningDatabase::open_read_only(path).records();
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw Error(ErrorCode::kStorage, fmt::format("{} cannot be read", path));
  std::vector<std::string> passed_over;
  return parse_tuning_json(text, path, passed_over);
}

}  // namespace flashmask
