#pragma once

#include <bit>
#include <cstdint>

#include "tests/emulator/programs/program.h"

namespace flashmask::emulator::programs {

/// Sixteen-bit elements of a tensor, two to a word.
inline Words packed(const std::vector<std::uint16_t>& elements) {
  return words(elements.size() / 2, [&](std::size_t i) {
    return static_cast<std::uint32_t>(elements[2 * i]) | static_cast<std::uint32_t>(elements[2 * i + 1]) << 16;
  });
}

/// Integers below 2048 in half precision, and below 256 in bfloat16, are exact.
enum class HalfType { kF16, kBf16 };
std::uint16_t half_of(HalfType type, int value);

inline std::uint32_t float_bits(int value) {
  return std::bit_cast<std::uint32_t>(static_cast<float>(value));
}

/// A matrix of small integers, by rows, and what programs make of it.
struct Matrix {
  std::size_t rows = 0, columns = 0;
  std::vector<int> elements;
  int at(std::size_t row, std::size_t column) const { return elements[row * columns + column]; }
};

template <class Function>
Matrix matrix_of(std::size_t rows, std::size_t columns, Function function) {
  Matrix result{rows, columns, std::vector<int>(rows * columns)};
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      result.elements[row * columns + column] = static_cast<int>(function(row, column));
    }
  }
  return result;
}

Matrix transposed(const Matrix& matrix);
/// A B + C; C may be empty.
Matrix product(const Matrix& a, const Matrix& b, const Matrix& c = {});
/// The elements by rows, as halves or as floats.
Words half_words(HalfType type, const Matrix& matrix);
Words float_words(const Matrix& matrix);

/// Integers that the type holds exactly, by rows; equal ones are a prime number of places apart (4093, or 509 in
/// bfloat16), so that no two places of a layout go together.
Matrix different_integers(std::size_t rows, std::size_t columns, HalfType type);
/// Two elements in each column that are not zero, at places that depend on it.
Matrix selection(std::size_t rows, std::size_t columns);

}  // namespace flashmask::emulator::programs
