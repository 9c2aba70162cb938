#include "emulator/machine/statistics.h"

namespace flashmask::emulator {

Statistics& Statistics::operator+=(const Statistics& other) {
  instructions += other.instructions;
  for (const auto& [name, count] : other.by_class) by_class[name] += count;
  global_bytes_read += other.global_bytes_read;
  global_bytes_written += other.global_bytes_written;
  shared_bytes_read += other.shared_bytes_read;
  shared_bytes_written += other.shared_bytes_written;
  shared_bank_conflicts += other.shared_bank_conflicts;
  mma_with_copy_in_flight += other.mma_with_copy_in_flight;
  mma_without_copy_in_flight += other.mma_without_copy_in_flight;
  ctas += other.ctas;
  barriers += other.barriers;
  return *this;
}

}  // namespace flashmask::emulator
