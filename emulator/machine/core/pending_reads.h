#pragma once

#include <cstdint>
#include <vector>

namespace flashmask::emulator {

/// Which parts of an allocation asynchronous copies in flight read, counted by lines: so that a write far from all of
/// them, as most are, need not look at each.
class PendingReads {
 public:
  void add(std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t last = last_line(offset, bytes);
    if (lines_.size() <= last) lines_.resize(last + 1);
    for (std::uint64_t line = offset / kLine; line <= last; ++line) ++lines_[line];
    ++reads_;
  }
  /// Of a read that was added.
  void remove(std::uint64_t offset, std::uint64_t bytes) {
    for (std::uint64_t line = offset / kLine; line <= last_line(offset, bytes); ++line) --lines_[line];
    --reads_;
  }
  /// Whether some read may touch these bytes.
  bool near(std::uint64_t offset, std::uint64_t bytes) const {
    if (reads_ == 0) return false;
    for (std::uint64_t line = offset / kLine; line <= last_line(offset, bytes) && line < lines_.size(); ++line)
      if (lines_[line] != 0) return true;
    return false;
  }
  void clear() {
    if (reads_ != 0) lines_.clear();
    reads_ = 0;
  }

 private:
  static constexpr std::uint64_t kLine = 128;
  static std::uint64_t last_line(std::uint64_t offset, std::uint64_t bytes) { return (offset + bytes - 1) / kLine; }

  std::vector<std::uint32_t> lines_;
  std::uint64_t reads_ = 0;
};

}  // namespace flashmask::emulator
