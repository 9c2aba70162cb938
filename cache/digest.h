#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

extern "C" {
struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX, kept out of this header
}

namespace flashmask::cache {

/// The SHA-256 under which an entry is kept. A plain value: copyable, ordered, hashable.
struct Digest {
  static constexpr std::size_t kBytes = 32;
  std::array<std::uint8_t, kBytes> bytes{};

  /// 64 lowercase hexadecimal digits.
  std::string hex() const;
  /// The inverse of hex(): exactly 64 lowercase hexadecimal digits, otherwise nothing.
  static std::optional<Digest> from_hex(std::string_view text);

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

/// Digests a sequence of fields. Each field enters behind its length (eight bytes, little-endian), so that moving a
/// byte from one field to its neighbour, or splitting a field, changes the digest. Not thread-safe; one builder makes
/// one digest. Throws std::runtime_error if OpenSSL offers no SHA-256.
class DigestBuilder {
 public:
  DigestBuilder();
  ~DigestBuilder();
  DigestBuilder(DigestBuilder&& other) noexcept;
  DigestBuilder& operator=(DigestBuilder&& other) noexcept;

  DigestBuilder& add(std::string_view field);
  DigestBuilder& add(std::span<const std::byte> field);
  /// A number is a field of eight bytes, little-endian on every machine.
  DigestBuilder& add_number(std::uint64_t number);
  DigestBuilder& add(const Digest& digest);

  /// The digest of all fields so far. Further calls of any member throw std::logic_error.
  Digest finish();

 private:
  void update(const void* data, std::size_t size);
  evp_md_ctx_st* context_ = nullptr;
};

/// The digest of one field: DigestBuilder().add(field).finish().
Digest digest_of(std::string_view field);

}  // namespace flashmask::cache

/// A SHA-256 is already evenly spread: its first bytes are its hash.
template <>
struct std::hash<flashmask::cache::Digest> {
  std::size_t operator()(const flashmask::cache::Digest& digest) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
