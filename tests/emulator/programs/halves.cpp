#include "tests/emulator/programs/halves.h"

#include <cmath>

namespace flashmask::emulator::programs {

std::uint16_t half_of(HalfType type, int value) {
  const std::uint32_t bits = float_bits(value);
  if (type == HalfType::kBf16) return static_cast<std::uint16_t>(bits >> 16);
  if (value == 0) return 0;
  const std::uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

Matrix transposed(const Matrix& matrix) {
  return matrix_of(matrix.columns, matrix.rows,
                   [&](std::size_t row, std::size_t column) { return matrix.at(column, row); });
}

Matrix product(const Matrix& a, const Matrix& b, const Matrix& c) {
  return matrix_of(a.rows, b.columns, [&](std::size_t row, std::size_t column) {
    int sum = c.elements.empty() ? 0 : c.at(row, column);
    for (std::size_t k = 0; k < a.columns; ++k) sum += a.at(row, k) * b.at(k, column);
    return sum;
  });
}

Words half_words(HalfType type, const Matrix& matrix) {
  std::vector<std::uint16_t> halves;
  for (const int each : matrix.elements) halves.push_back(half_of(type, each));
  return packed(halves);
}

Words float_words(const Matrix& matrix) {
  return words(matrix.elements.size(), [&](std::size_t i) { return float_bits(matrix.elements[i]); });
}

Matrix different_integers(std::size_t rows, std::size_t columns, HalfType type) {
  const int prime = type == HalfType::kF16 ? 4093 : 509;
  return matrix_of(rows, columns, [&](std::size_t row, std::size_t column) {
    return static_cast<int>(row * columns + column) % prime - prime / 2;
  });
}

Matrix selection(std::size_t rows, std::size_t columns) {
  return matrix_of(rows, columns, [&](std::size_t row, std::size_t column) {
    return (row == (3 * column + 1) % rows ? 1 : 0) + (row == (5 * column + column / 8 + 4) % rows ? 2 : 0);
  });
}

}  // namespace flashmask::emulator::programs
