#include "cache/digest.h"

#include <openssl/evp.h>

#include <stdexcept>
#include <utility>

namespace flashmask::cache {
namespace {

/// Fetched once per process: looking an algorithm up by name costs more than digesting a short text.
const EVP_MD* sha256() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm;
}

std::array<std::uint8_t, 8> little_endian(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return bytes;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

std::string Digest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * kBytes);
  for (std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

std::optional<Digest> Digest::from_hex(std::string_view text) {
  if (text.size() != 2 * kBytes) return std::nullopt;
  Digest digest;
  for (std::size_t i = 0; i < kBytes; ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return digest;
}

DigestBuilder::DigestBuilder() : context_(EVP_MD_CTX_new()) {
  if (!context_ || !sha256() || EVP_DigestInit_ex(context_, sha256(), nullptr) != 1) {
    EVP_MD_CTX_free(context_);
    throw std::runtime_error(
        "OpenSSL offers no SHA-256, under which cache entries are kept; install a libcrypto of version 3 with its "
        "default provider");
  }
}

DigestBuilder::~DigestBuilder() {
  EVP_MD_CTX_free(context_);
}

DigestBuilder::DigestBuilder(DigestBuilder&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

DigestBuilder& DigestBuilder::operator=(DigestBuilder&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

void DigestBuilder::update(const void* data, std::size_t size) {
  if (!context_) throw std::logic_error("DigestBuilder: used after finish() or after it was moved from");
  if (EVP_DigestUpdate(context_, data, size) != 1) throw std::runtime_error("OpenSSL failed to digest");
}

DigestBuilder& DigestBuilder::add(std::span<const std::byte> field) {
  const auto length = little_endian(field.size());
  update(length.data(), length.size());
  update(field.data(), field.size());
  return *this;
}

DigestBuilder& DigestBuilder::add(std::string_view field) {
  return add(std::as_bytes(std::span(field.data(), field.size())));
}

DigestBuilder& DigestBuilder::add_number(std::uint64_t number) {
  const auto bytes = little_endian(number);
  return add(std::as_bytes(std::span(bytes)));
}

DigestBuilder& DigestBuilder::add(const Digest& digest) {
  return add(std::as_bytes(std::span(digest.bytes)));
}

Digest DigestBuilder::finish() {
  if (!context_) throw std::logic_error("DigestBuilder: used after finish() or after it was moved from");
  Digest digest;
  const int finished = EVP_DigestFinal_ex(context_, digest.bytes.data(), nullptr);
  EVP_MD_CTX_free(std::exchange(context_, nullptr));
  if (finished != 1) throw std::runtime_error("OpenSSL failed to digest");
  return digest;
}

Digest digest_of(std::string_view field) {
  return DigestBuilder().add(field).finish();
}

}  // namespace flashmask::cache
