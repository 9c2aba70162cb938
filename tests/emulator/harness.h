#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/machine/machine.h"

namespace flashmask::emulator::test {

/// A module with one entry `k` of the given parameters and body.
std::string module_of(std::string_view parameters, std::string_view body, std::string_view globals = "",
                      std::string_view target = "sm_80");

/// Runs `body` on one warp. Registers %a, %b, %c (.b32) hold words of the inputs, %wa, %wb, %wc (.b64) their 64-bit
/// twins (input word zero-extended, or the 64-bit input); %d, %e (.b32) and %wd (.b64) are stored afterwards. %r, %s,
/// %t
/// (.b32), %h, %i, %j (.b16), %x, %y, %z (.b64), %p, %q (.pred), %u (.u32 lane number) are free to use.
struct LaneInput {
  std::vector<std::uint64_t> a, b, c;
};
struct LaneOutput {
  std::vector<std::uint32_t> d, e;
  std::vector<std::uint64_t> wd;
};
LaneOutput run_lanes(std::string_view body, const LaneInput& input = {});

/// %d of lane 0, with the inputs in every lane.
std::uint32_t evaluate(std::string_view body, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0);
/// %wd of lane 0.
std::uint64_t evaluate_wide(std::string_view body, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0);
/// evaluate() with floats in and out.
float evaluate_float(std::string_view body, float a = 0, float b = 0, float c = 0);

inline std::uint32_t bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

/// The f16 or bf16 nearest to a small integer.
std::uint16_t to_half(int value, bool bfloat);

/// Runs `action` and returns the Fault that it throws; none is a failed test.
std::optional<Fault> fault_of(const std::function<void()>& action);

/// Device memory with the given values.
template <class T>
Address upload(Machine& machine, const std::vector<T>& values) {
  const Address address = machine.allocate(values.size() * sizeof(T));
  machine.write(address, std::as_bytes(std::span(values)));
  return address;
}
template <class T>
std::vector<T> download(const Machine& machine, Address address, std::size_t count) {
  std::vector<T> values(count);
  machine.read(std::as_writable_bytes(std::span(values)), address);
  return values;
}

/// Parameter bytes of 64-bit values.
std::vector<std::byte> parameters(const std::vector<std::uint64_t>& values);

/// A one-dimensional launch.
LaunchShape shape(std::uint32_t ctas, std::uint32_t threads, std::size_t shared_bytes = 0);

}  // namespace flashmask::emulator::test
