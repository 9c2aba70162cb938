#include "tools/safetensors/reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "flashmask/error.h"

namespace flashmask::safetensors {
namespace {

/// Closes the descriptor when the constructor that opened it throws.
class DescriptorGuard {
 public:
  explicit DescriptorGuard(int& descriptor) : descriptor_(descriptor) {}
  ~DescriptorGuard() {
    if (armed_ && descriptor_ >= 0) ::close(descriptor_);
  }
  DescriptorGuard(const DescriptorGuard&) = delete;
  DescriptorGuard& operator=(const DescriptorGuard&) = delete;
  void disarm() { armed_ = false; }

 private:
  int& descriptor_;
  bool armed_ = true;
};

}  // namespace

Reader::Reader(const std::filesystem::path& path) : name_(path.string()) {
  // Not to wait for a writer when the name is a pipe; it has no meaning for a regular file.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) {
    throw Error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kStorage,
                fmt::format("{}: cannot be opened: {}", name_, std::strerror(errno)));
  }
  DescriptorGuard guard(descriptor_);
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) {
    throw Error(ErrorCode::kStorage, fmt::format("{}: cannot be examined: {}", name_, std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: not a regular file", name_),
                "give the path of a .safetensors file");
  }
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  if (file_bytes < kLengthBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} bytes: a safetensors file starts with a length of 8 bytes; the file is cut", name_,
                            file_bytes));
  }
  unsigned char prefix[kLengthBytes];
  read_at(0, prefix, sizeof prefix);
  const std::uint64_t header_bytes = parse_header_length(prefix, file_bytes, name_);
  std::string json(header_bytes, '\0');
  read_at(kLengthBytes, json.data(), json.size());
  data_start_ = kLengthBytes + header_bytes;
  layout_ = parse_layout(json, file_bytes - data_start_, name_);
  guard.disarm();
}

Reader::~Reader() {
  ::close(descriptor_);
}

void Reader::read(const TensorInfo& tensor, std::span<std::byte> destination) const {
  if (destination.size() != tensor.bytes()) {
    throw Error(ErrorCode::kInternal, fmt::format("{}: tensor {} has {} bytes, not {}", name_, printable(tensor.name),
                                                  tensor.bytes(), destination.size()));
  }
  read_at(data_start_ + tensor.begin, destination.data(), destination.size());
}

void Reader::read_at(std::uint64_t offset, void* destination, std::size_t bytes) const {
  auto* next = static_cast<char*>(destination);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, next, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(ErrorCode::kStorage, fmt::format("{}: cannot be read: {}", name_, std::strerror(errno)));
    if (got == 0) throw Error(ErrorCode::kStorage, fmt::format("{}: became shorter while it was read", name_));
    next += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
}

}  // namespace flashmask::safetensors
