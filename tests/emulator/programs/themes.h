#pragma once

#include <span>

#include "tests/emulator/programs/program.h"

namespace flashmask::emulator::programs {

// The tables, one for each file of kernels/. Each names its kernels, their inputs, what they must give, and the faults
// that are planted in their twins.
std::span<const TestProgram> atomic_programs();
std::span<const TestProgram> barrier_programs();
std::span<const TestProgram> bulk_copy_programs();
std::span<const TestProgram> cluster_programs();
std::span<const TestProgram> copied_tile_programs();
std::span<const TestProgram> copy_programs();
std::span<const TestProgram> counted_store_programs();
std::span<const TestProgram> fragment_programs();
std::span<const TestProgram> grid_programs();
std::span<const TestProgram> group_programs();
std::span<const TestProgram> matrix_programs();
std::span<const TestProgram> mbarrier_programs();
std::span<const TestProgram> stored_matrix_programs();
std::span<const TestProgram> tensor_copy_programs();
std::span<const TestProgram> warp_programs();
std::span<const TestProgram> warpgroup_programs();

}  // namespace flashmask::emulator::programs
