#include "tools/safetensors/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "flashmask/error.h"
#include "tools/safetensors/atomic_file.h"
#include "tools/safetensors/layout.h"

namespace flashmask::safetensors {

void Writer::add(std::string name, ElementType type, std::vector<std::uint64_t> shape,
                 std::span<const std::byte> bytes) {
  if (name == "__metadata__" || entries_.count(name) != 0) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("tensor {}: the name is taken", printable(name)));
  }
  const std::optional<std::uint64_t> needed = bytes_of(type, shape);
  if (!needed || *needed != bytes.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("tensor {}: {} bytes were given; {} of shape {} needs {}", printable(name), bytes.size(),
                            to_string(type), to_string(shape), needed ? fmt::to_string(*needed) : "another shape"));
  }
  entries_.emplace(std::move(name), Entry{type, std::move(shape), bytes});
}

void Writer::set_metadata(std::string key, std::string value) {
  metadata_[std::move(key)] = std::move(value);
}

void Writer::save(const std::filesystem::path& path) const {
  // Wide elements first, so that the data of every tensor are aligned to its elements.
  std::vector<const std::pair<const std::string, Entry>*> order;
  for (const auto& entry : entries_) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return bits_per_element(a->second.type) > bits_per_element(b->second.type);
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata_.empty()) header["__metadata__"] = metadata_;
  std::uint64_t offset = 0;
  for (const auto* item : order) {
    const auto& [name, entry] = *item;
    header[name] = {{"dtype", to_string(entry.type)},
                    {"shape", entry.shape},
                    {"data_offsets", {offset, offset + entry.bytes.size()}}};
    offset += entry.bytes.size();
  }
  std::string json;
  try {
    json = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: a name or metadata is not UTF-8", path.string()));
  }
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kMaxHeaderBytes) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: a header of {} bytes; at most {} are allowed",
                                                         path.string(), json.size(), kMaxHeaderBytes));
  }

  std::byte prefix[kLengthBytes];
  for (std::size_t i = 0; i < kLengthBytes; ++i) prefix[i] = static_cast<std::byte>(json.size() >> (8 * i) & 0xFF);

  AtomicFile file(path);
  file.write(prefix);
  file.write(std::as_bytes(std::span(json)));
  for (const auto* item : order) file.write(item->second.bytes);
  file.commit();
}

}  // namespace flashmask::safetensors
