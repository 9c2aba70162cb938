#include "tests/emulator/harness.h"

#include <gtest/gtest.h>

namespace flashmask::emulator::test {

std::string module_of(std::string_view parameters, std::string_view body, std::string_view globals,
                      std::string_view target) {
  std::string text = ".version 9.0\n.target " + std::string(target) + "\n.address_size 64\n";
  text += globals;
  text += "\n.visible .entry k(";
  text += parameters;
  text += ")\n{\n";
  text += body;
  return text + "\nret;\n}\n";
}

LaneOutput run_lanes(std::string_view body, const LaneInput& input) {
  const std::string text = module_of(".param .u64 in, .param .u64 out", std::string(R"(
    .reg .b32 %a, %b, %c, %d, %e, %r, %s, %t, %u;
    .reg .b64 %wa, %wb, %wc, %wd, %x, %y, %z, %base;
    .reg .b16 %h, %i, %j;
    .reg .pred %p, %q;
    mov.u32 %u, %laneid;
    mul.wide.u32 %base, %u, 8;
    ld.param.u64 %x, [in];
    add.s64 %x, %x, %base;
    ld.global.u64 %wa, [%x];
    ld.global.u64 %wb, [%x+256];
    ld.global.u64 %wc, [%x+512];
    cvt.u32.u64 %a, %wa;
    cvt.u32.u64 %b, %wb;
    cvt.u32.u64 %c, %wc;
    mov.b32 %d, 0;
    mov.b32 %e, 0;
    mov.b64 %wd, 0;
    )") + std::string(body) + R"(
    ld.param.u64 %base, [out];
    mul.wide.u32 %x, %u, 16;
    add.s64 %base, %base, %x;
    st.global.v2.u32 [%base], {%d, %e};
    st.global.u64 [%base+8], %wd;
    )");
  Machine machine;
  std::vector<std::uint64_t> words(96, 0);
  const auto spread = [&](const std::vector<std::uint64_t>& from, std::size_t at) {
    for (std::size_t lane = 0; lane < 32; ++lane) words[at + lane] = from.empty() ? 0 : from[lane % from.size()];
  };
  spread(input.a, 0);
  spread(input.b, 32);
  spread(input.c, 64);
  const Address in = upload(machine, words);
  const Address out = machine.allocate(32 * 16);
  machine.launch(*Program::parse(text), "k", shape(1, 32), parameters({in, out}));
  const auto raw = download<std::uint32_t>(machine, out, 128);
  LaneOutput output;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    output.d.push_back(raw[4 * lane]);
    output.e.push_back(raw[4 * lane + 1]);
    output.wd.push_back(raw[4 * lane + 2] | std::uint64_t{raw[4 * lane + 3]} << 32);
  }
  return output;
}

std::uint32_t evaluate(std::string_view body, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return run_lanes(body, {{a}, {b}, {c}}).d[0];
}

std::uint64_t evaluate_wide(std::string_view body, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return run_lanes(body, {{a}, {b}, {c}}).wd[0];
}

float evaluate_float(std::string_view body, float a, float b, float c) {
  return std::bit_cast<float>(evaluate(body, bits(a), bits(b), bits(c)));
}

std::uint16_t to_half(int value, bool bfloat) {
  const std::uint32_t word = bits(static_cast<float>(value));
  if (bfloat) return static_cast<std::uint16_t>(word >> 16);
  if (value == 0) return 0;
  const auto exponent = static_cast<std::uint32_t>((word >> 23 & 0xff) - 127 + 15);
  return static_cast<std::uint16_t>((word >> 16 & 0x8000) | exponent << 10 | (word >> 13 & 0x3ff));
}

std::optional<Fault> fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Fault& fault) {
    return fault;
  }
  ADD_FAILURE() << "no fault";
  return std::nullopt;
}

std::vector<std::byte> parameters(const std::vector<std::uint64_t>& values) {
  std::vector<std::byte> bytes(values.size() * 8);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

LaunchShape shape(std::uint32_t ctas, std::uint32_t threads, std::size_t shared_bytes) {
  LaunchShape result;
  result.grid[0] = ctas;
  result.block[0] = threads;
  result.dynamic_shared_bytes = shared_bytes;
  return result;
}

}  // namespace flashmask::emulator::test
