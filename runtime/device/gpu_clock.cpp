#include "runtime/device/gpu_clock.h"

#include "runtime/device/shared_library.h"

namespace flashmask {
namespace {

// What of NVML is used, as its documentation has it; its header is not part of the toolkit's driver interface.
using NvmlDevice = struct NvmlDeviceHandle*;
using NvmlResult = int;
constexpr NvmlResult kSuccess = 0;
constexpr int kSmClock = 1;

}  // namespace

struct GpuClockReader::State {
  SharedLibrary library;
  NvmlDevice device = nullptr;
  NvmlResult (*shutdown)() = nullptr;
  NvmlResult (*clock)(NvmlDevice, int, unsigned*) = nullptr;
  NvmlResult (*reasons)(NvmlDevice, unsigned long long*) = nullptr;

  explicit State(SharedLibrary opened) : library(std::move(opened)) {}
};

GpuClockReader::GpuClockReader(const std::string& pci_bus_id) {
  std::string why;
  std::optional<SharedLibrary> opened = SharedLibrary::open("libnvidia-ml.so.1", why);
  if (!opened) return;
  auto state = std::make_unique<State>(std::move(*opened));
  const auto bind = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(state->library.symbol(name));
    return function != nullptr;
  };
  NvmlResult (*init)() = nullptr;
  NvmlResult (*find)(const char*, NvmlDevice*) = nullptr;
  if (!bind(init, "nvmlInit_v2") || !bind(find, "nvmlDeviceGetHandleByPciBusId_v2") ||
      !bind(state->shutdown, "nvmlShutdown") || !bind(state->clock, "nvmlDeviceGetClockInfo") ||
      !bind(state->reasons, "nvmlDeviceGetCurrentClocksThrottleReasons") || init() != kSuccess)
    return;
  state_ = std::move(state);
  if (find(pci_bus_id.c_str(), &state_->device) != kSuccess) state_->device = nullptr;
}

GpuClockReader::~GpuClockReader() {
  if (state_) state_->shutdown();
}

std::optional<GpuClock> GpuClockReader::read() const {
  unsigned mhz = 0;
  if (!state_ || !state_->device || state_->clock(state_->device, kSmClock, &mhz) != kSuccess) return std::nullopt;
  GpuClock clock{.sm_mhz = static_cast<int>(mhz)};
  unsigned long long reasons = 0;
  if (state_->reasons(state_->device, &reasons) == kSuccess) clock.event_reasons = reasons;
  return clock;
}

}  // namespace flashmask
