#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace flashmask {

struct GpuClock {
  int sm_mhz = 0;
  std::uint64_t event_reasons = 0;  ///< why it is not higher, as NVML tells them (nvmlClocksEventReason…)
};

/// Reads a GPU's clock through NVML, which the driver brings: libnvidia-ml.so.1, opened at run time.
class GpuClockReader {
 public:
  /// "0000:1b:00.0", as the driver names it: NVML counts GPUs that the process does not see. Without NVML, or where it
  /// does not know the GPU, read() gives nothing.
  explicit GpuClockReader(const std::string& pci_bus_id);
  ~GpuClockReader();
  GpuClockReader(const GpuClockReader&) = delete;
  GpuClockReader& operator=(const GpuClockReader&) = delete;

  std::optional<GpuClock> read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flashmask
