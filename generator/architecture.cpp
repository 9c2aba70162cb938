#include "generator/architecture.h"

namespace flashmask::generator {
namespace {

constexpr int kib(int n) {
  return n * 1024;
}

constexpr Architecture kArchitectures[] = {
    {80, false, kib(163), kib(164), 64}, {86, false, kib(99), kib(100), 48},  {87, false, kib(163), kib(164), 48},
    {88, false, kib(163), kib(164), 48}, {89, false, kib(99), kib(100), 48},  {90, true, kib(227), kib(228), 64},
    {100, true, kib(227), kib(228), 64}, {103, true, kib(227), kib(228), 64}, {110, true, kib(227), kib(228), 48},
    {120, true, kib(99), kib(100), 48},  {121, true, kib(99), kib(100), 48},
};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

const Architecture* find_architecture(const Target& target) {
  for (const Architecture& architecture : kArchitectures)
    if (architecture.compute_capability == target.compute_capability &&
        (architecture.has_arch_specific || !target.arch_specific))
      return &architecture;
  return nullptr;
}

}  // namespace flashmask::generator
