#include "emulator/machine/handlers/fragment.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

constexpr std::uint32_t kHalvesOfRegister = 2 * kLanes;
constexpr std::size_t kMostRegisters = 8;
/// Operation::r: the registers of the fragment, then the stride.
constexpr std::size_t kStride = kMostRegisters;
/// What CUDA C++ demands of the distance between rows: less than PTX does, and enough for the hardware.
constexpr std::uint32_t kHardwareAlignment = 16;

std::span<const Ref> fragment_of(const Operation& operation) {
  const Ref* end = std::find(operation.r, operation.r + kMostRegisters, kNoRef);
  return {operation.r, end};
}

// --- matrices in memory ----------------------------------------------------------------------------------------------

/// A matrix in memory: `count` runs (its rows, or its columns), each of `length` elements side by side.
struct Runs {
  std::uint64_t address = 0;
  std::uint64_t step = 0;  ///< bytes from one run to the next
  std::uint32_t count = 0;
  std::uint32_t bytes = 0;      ///< of one run
  std::uint32_t alignment = 0;  ///< of every run
};

/// PTX aligns every row to the size of the fragment, the guide of CUDA C++ only the first one.
void check_step(const Warp& warp, const Runs& runs, std::uint32_t fragment_bytes) {
  if (!warp.launch->pedantic || runs.step % fragment_bytes == 0) return;
  warp.launch->note(
      fmt::format("rows or columns that are {} bytes apart are no multiples of {}, the size of their "
                  "fragment, which PTX demands; CUDA C++ demands multiples of {} only\n  {}",
                  runs.step, fragment_bytes, kHardwareAlignment, warp.launch->program->quote(warp.operation->line)));
}

/// Operation: count = elements of a run, mode = runs, size = bytes of an element.
Runs runs_of(const Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  const std::uint32_t* strides = warp.lanes<std::uint32_t>(operation.r[kStride]);
  for (std::uint32_t lane = 1; lane < kLanes; ++lane) {
    if (addresses[lane] == addresses[0] && strides[lane] == strides[0]) continue;
    warp.fault(Fault::Kind::kDescriptor, lane,
               fmt::format("the matrix is at {:#x} with a stride of {} elements here and at {:#x} with {} in lane 0; "
                           "all threads of a warp must give the same",
                           addresses[lane], strides[lane], addresses[0], strides[0]));
  }
  const auto fragment_bytes = static_cast<std::uint32_t>(fragment_of(operation).size() * sizeof(std::uint32_t));
  Runs runs;
  runs.address = addresses[0];
  runs.step = std::uint64_t{strides[0]} * operation.size;
  runs.count = operation.mode;
  runs.bytes = std::uint32_t{operation.count} * operation.size;
  runs.alignment = std::min(fragment_bytes, kHardwareAlignment);
  if (runs.address % fragment_bytes != 0) {
    warp.fault(
        Fault::Kind::kMisaligned, 0,
        fmt::format("misaligned: the matrix is at {:#x}, which is not a multiple of {}, the size of its fragment",
                    runs.address, fragment_bytes));
  }
  check_step(warp, runs, fragment_bytes);
  return runs;
}

/// Visits the bytes of every run, which the warp accesses as one.
template <class Visit>
void each_run(Warp& warp, const Operation& operation, const Runs& runs, Access access, Visit visit) {
  Statistics& statistics = warp.launch->statistics;
  const bool writes = access == Access::kWrite;
  for (std::uint32_t i = 0; i < runs.count; ++i) {
    const Place place =
        locate(warp, 0, operation.space, runs.address + i * runs.step, runs.bytes, runs.alignment, access, kAllLanes);
    if (!place.shared && !place.global) {
      warp.fault(Fault::Kind::kOutOfBounds, 0, "the matrix is neither in global nor in shared memory");
    }
    if (place.shared) (writes ? statistics.shared_bytes_written : statistics.shared_bytes_read) += runs.bytes;
    if (place.global) (writes ? statistics.global_bytes_written : statistics.global_bytes_read) += runs.bytes;
    visit(place.data, i);
  }
}

/// Where element `at` of run `run` stands in a fragment that is ordered across the runs.
std::uint32_t across(const Operation& operation, std::uint32_t run, std::uint32_t at) {
  return at * operation.mode + run;
}

/// flags: bit 0 for accumulators by columns, whose order in the fragment is not that of memory.
template <class T>
void load_matrix(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  const Runs runs = runs_of(warp, operation);
  const std::uint32_t length = operation.count;
  std::array<T, kMostFragmentElements> elements;
  each_run(warp, operation, runs, Access::kRead, [&](const std::byte* data, std::uint32_t run) {
    T row[kLanes];
    std::memcpy(row, data, runs.bytes);
    for (std::uint32_t i = 0; i < length; ++i) {
      elements[operation.flags == 0 ? run * length + i : across(operation, run, i)] = row[i];
    }
  });
  if constexpr (sizeof(T) == sizeof(float)) {
    write_floats(warp, fragment_of(operation), elements.data());
  } else {
    write_halves(warp, fragment_of(operation), runs.count * length, elements.data());
  }
}

template <class T>
void store_matrix(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  const Runs runs = runs_of(warp, operation);
  const std::uint32_t length = operation.count;
  if (runs.step < runs.bytes) {
    warp.fault(Fault::Kind::kRace, 0,
               fmt::format("rows or columns of {} bytes are stored {} bytes apart: elements of the matrix overwrite "
                           "each other in any order",
                           runs.bytes, runs.step));
  }
  std::array<T, kMostFragmentElements> elements;
  if constexpr (sizeof(T) == sizeof(float)) {
    read_floats(warp, fragment_of(operation), elements.data());
  } else {
    read_halves(warp, fragment_of(operation), runs.count * length, elements.data());
  }
  each_run(warp, operation, runs, Access::kWrite, [&](std::byte* data, std::uint32_t run) {
    T row[kLanes];
    for (std::uint32_t i = 0; i < length; ++i) {
      row[i] = elements[operation.flags == 0 ? run * length + i : across(operation, run, i)];
    }
    std::memcpy(data, row, runs.bytes);
  });
  ++warp.launch->progress;
}

// --- lowering --------------------------------------------------------------------------------------------------------

enum class Matrix : std::uint8_t { kA, kB, kC, kD };

struct Shape {
  std::uint32_t m = 0, n = 0;
};

Shape take_shape(Builder& builder) {
  constexpr Shape kShapes[] = {{16, 16}, {8, 32}, {32, 8}};
  const auto shape = builder.take_one_of({"m16n16k16", "m8n32k16", "m32n8k16"});
  if (!shape) builder.unsupported("the shapes m16n16k16, m8n32k16 and m32n8k16 are known");
  return kShapes[*shape];
}

bool take_columns(Builder& builder) {
  const auto layout = builder.take_first_of({"row", "col"});
  if (!layout) builder.malformed("the layout .row or .col is missing");
  return *layout == 1;
}

void take_sync(Builder& builder) {
  if (!builder.take("sync") || !builder.take("aligned")) builder.malformed(".sync.aligned is missing");
}

std::uint32_t rows_of(Matrix matrix, Shape shape) {
  return matrix == Matrix::kB ? kFragmentDepth : shape.m;
}

std::uint32_t columns_of(Matrix matrix, Shape shape) {
  return matrix == Matrix::kA ? kFragmentDepth : shape.n;
}

/// Registers of a fragment. Those of f16 factors have room for the largest shape, whatever theirs is.
std::size_t registers_of(Matrix matrix, Shape shape, Type type) {
  const bool factor = matrix == Matrix::kA || matrix == Matrix::kB;
  if (type == Type::kF32 || (factor && type == Type::kF16)) return kMostRegisters;
  return std::size_t{rows_of(matrix, shape)} * columns_of(matrix, shape) / kHalvesOfRegister;
}

std::vector<Ref> take_fragment(Builder& builder, std::size_t index, std::size_t count, Type type, bool reads) {
  std::vector<Ref> registers;
  for (const Operand* each : builder.elements(index, count)) {
    registers.push_back(reads ? builder.source(*each, type) : builder.destination(*each, sizeof(std::uint32_t)));
  }
  return registers;
}

Type register_type(Type element) {
  return element == Type::kF32 ? Type::kF32 : Type::kB32;
}

void expect_element(Builder& builder, Matrix matrix, Type type) {
  const bool factor = matrix == Matrix::kA || matrix == Matrix::kB;
  if (type == Type::kF16 || type == (factor ? Type::kBf16 : Type::kF32)) return;
  builder.unsupported(factor ? "factors of f16 and bf16 are known" : "accumulators of f16 and f32 are known");
}

/// wmma.load.a r, [p], stride; and wmma.store.d [p], r, stride; without a stride the runs lie packed.
void lower_access(Builder& builder, bool stores) {
  const auto named = stores ? builder.take_one_of({"d"}) : builder.take_one_of({"a", "b", "c"});
  if (!named) builder.malformed(stores ? ".d is missing" : ".a, .b or .c is missing");
  const Matrix matrix = stores ? Matrix::kD : static_cast<Matrix>(*named);
  take_sync(builder);
  const bool by_columns = take_columns(builder);
  const Shape shape = take_shape(builder);
  const Space space = builder.space_or_generic();
  if (space != Space::kGeneric && space != Space::kGlobal && space != Space::kShared) {
    builder.malformed("matrices lie in global or in shared memory");
  }
  const Type type = builder.type();
  expect_element(builder, matrix, type);
  builder.expect_operands(2, 3);
  const std::uint32_t rows = rows_of(matrix, shape);
  const std::uint32_t columns = columns_of(matrix, shape);
  Operation& operation = builder.operation;
  operation.count = static_cast<std::uint8_t>(by_columns ? rows : columns);
  operation.mode = static_cast<std::uint8_t>(by_columns ? columns : rows);
  operation.size = static_cast<std::uint8_t>(ptx::size_of(type));
  operation.flags = by_columns && (matrix == Matrix::kC || matrix == Matrix::kD) ? 1 : 0;
  const std::size_t count = registers_of(matrix, shape, type);
  const std::vector<Ref> registers = take_fragment(builder, stores ? 1 : 0, count, register_type(type), stores);
  std::copy(registers.begin(), registers.end(), operation.r);
  builder.address(stores ? 0 : 1, space);
  operation.r[kStride] = builder.operands() == 3 ? builder.source(2, Type::kB32)
                                                 : builder.constant(operation.count, sizeof(std::uint32_t));
  const bool wide = type == Type::kF32;
  if (stores) {
    operation.run = wide ? store_matrix<float> : store_matrix<std::uint16_t>;
  } else {
    operation.run = wide ? load_matrix<float> : load_matrix<std::uint16_t>;
  }
}

/// wmma.mma.sync.aligned.alayout.blayout.shape.dtype.ctype of f16, or ….f32.bf16.bf16.f32.
void lower_product(Builder& builder, Handler f16_product, Handler bf16_product) {
  take_sync(builder);
  WarpProduct product;
  product.a_by_columns = take_columns(builder);
  product.b_by_columns = take_columns(builder);
  const Shape shape = take_shape(builder);
  product.rows = shape.m;
  product.columns = shape.n;
  const Type d = builder.type();
  Type factor = Type::kF16;
  Type c = builder.type();
  if (builder.next_type()) {
    factor = c;
    if (builder.type() != factor) builder.unsupported("factors of one type are known");
    c = builder.type();
  }
  expect_element(builder, Matrix::kA, factor);
  expect_element(builder, Matrix::kC, c);
  expect_element(builder, Matrix::kD, d);
  product.c_is_half = c == Type::kF16;
  product.d_is_half = d == Type::kF16;
  if (factor == Type::kBf16 && (product.c_is_half || product.d_is_half)) {
    builder.malformed("factors of bf16 have accumulators of f32");
  }
  builder.expect_operands(4);
  const auto take = [&](std::size_t index, Matrix matrix, Type type) {
    return take_fragment(builder, index, registers_of(matrix, shape, type), register_type(type), matrix != Matrix::kD);
  };
  product.d = take(0, Matrix::kD, d);
  product.a = take(1, Matrix::kA, factor);
  product.b = take(2, Matrix::kB, factor);
  product.c = take(3, Matrix::kC, c);
  builder.operation.immediate = builder.kernel().add_product(std::move(product));
  builder.operation.run = factor == Type::kF16 ? f16_product : bf16_product;
}

}  // namespace

void read_halves(const Warp& warp, std::span<const Ref> registers, std::uint32_t count, std::uint16_t* elements) {
  for (std::uint32_t i = 0; i < count / kHalvesOfRegister; ++i) {
    std::memcpy(elements + i * kHalvesOfRegister, warp.lanes<std::uint32_t>(registers[i]),
                kHalvesOfRegister * sizeof(std::uint16_t));
  }
}

void write_halves(const Warp& warp, std::span<const Ref> registers, std::uint32_t count,
                  const std::uint16_t* elements) {
  for (std::uint32_t i = 0; i < registers.size(); ++i) {
    std::memcpy(warp.lanes<std::uint32_t>(registers[i]), elements + i * kHalvesOfRegister % count,
                kHalvesOfRegister * sizeof(std::uint16_t));
  }
}

void read_floats(const Warp& warp, std::span<const Ref> registers, float* elements) {
  for (std::uint32_t i = 0; i < registers.size(); ++i) {
    const float* lanes = warp.lanes<float>(registers[i]);
    float* target = elements + i / 2 * kHalvesOfRegister + i % 2;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) target[2 * lane] = lanes[lane];
  }
}

void write_floats(const Warp& warp, std::span<const Ref> registers, const float* elements) {
  for (std::uint32_t i = 0; i < registers.size(); ++i) {
    float* lanes = warp.lanes<float>(registers[i]);
    const float* source = elements + i / 2 * kHalvesOfRegister + i % 2;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) lanes[lane] = source[2 * lane];
  }
}

void count_product(const Warp& warp) {
  Statistics& statistics = warp.launch->statistics;
  if (has_copy_in_flight(warp)) {
    ++statistics.mma_with_copy_in_flight;
  } else {
    ++statistics.mma_without_copy_in_flight;
  }
}

void lower_wmma(Builder& builder, Handler f16_product, Handler bf16_product) {
  builder.statistics_class("wmma");
  const auto kind = builder.take_one_of({"load", "store", "mma"});
  if (!kind) builder.malformed(".load, .store or .mma is missing");
  if (*kind == 2) return lower_product(builder, f16_product, bf16_product);
  lower_access(builder, *kind == 1);
}

}  // namespace flashmask::emulator
