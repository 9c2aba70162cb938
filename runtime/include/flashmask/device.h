#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"

namespace flashmask {

/// An address in a device's memory; 0 is null. On a GPU it is a CUdeviceptr.
using DevicePointer = std::uint64_t;
/// A CUstream handle, or null for the default stream. The emulator runs every launch to its end and ignores it.
using Stream = void*;

enum class DeviceKind { kCuda, kEmulator };

struct DeviceProperties {
  DeviceKind kind = DeviceKind::kEmulator;
  std::string name;  ///< "NVIDIA H200", "PTX emulator"
  int ordinal = 0;   ///< among the GPUs that the process sees; 0 on the emulator
  Target target;     ///< what kernels are generated for on this device
  int multiprocessors = 0;
  std::size_t shared_bytes_per_block = 0;  ///< with opt-in
  std::size_t memory_bytes = 0;
  std::size_t l2_bytes = 0;
  std::string driver;      ///< driver version, e.g. "13.0"; empty on the emulator
  std::string pci_bus_id;  ///< "0000:1b:00.0"; empty on the emulator
};

struct LaunchGeometry {
  std::uint32_t grid[3] = {1, 1, 1};
  std::uint32_t block = 1;
  std::uint32_t shared_bytes = 0;
};

/// Both images of one compilation. A device loads the one that it runs.
struct KernelImage {
  std::span<const std::byte> cubin;
  std::span<const std::byte> ptx;
};

/// A tensor [batch, heads, seqlen, columns] of 16-bit elements in device memory, and the box of it that one
/// asynchronous copy moves to or from shared memory: `box_rows` rows of one head, `box_columns` wide. In shared memory
/// a row of the box is a span of the swizzle.
struct TensorBox {
  DevicePointer data = 0;  ///< a multiple of 16
  std::int64_t columns = 0;
  std::int64_t seqlen = 0;
  std::int64_t heads = 0;
  std::int64_t batch = 0;
  // In elements, 0 or more, multiples of 8 below 2^39; without a meaning where the extent is 1. Columns are contiguous.
  std::int64_t stride_seqlen = 0;
  std::int64_t stride_heads = 0;
  std::int64_t stride_batch = 0;
  int box_columns = 0;  ///< 16, 32 or 64
  int box_rows = 0;     ///< 1 to 256
};

/// A TensorBox as a device encodes it (of a GPU: a CUtensorMap), to be passed to kernels by value.
struct alignas(64) EncodedTensorMap {
  std::array<std::byte, 128> bytes{};
};

/// A kernel that a device has loaded. Immutable; unloaded with the last reference.
class FLASHMASK_API LoadedKernel {
 public:
  virtual ~LoadedKernel();
};

/// Device time between two points of a stream. One measurement at a time; used by one thread at a time.
class FLASHMASK_API DeviceTimer {
 public:
  virtual ~DeviceTimer();
  virtual void start(Stream stream) = 0;
  virtual void stop(Stream stream) = 0;
  /// Between the last start() and stop(), for which it waits. Throws Error{kDevice}.
  virtual double seconds() = 0;
};

/// What an emulated launch did (zeros from a GPU): see docs/emulator.md.
struct LaunchStatistics {
  std::uint64_t instructions = 0;
  std::uint64_t matrix_instructions = 0;
  std::uint64_t shared_bank_conflicts = 0;
  std::uint64_t global_bytes_read = 0;
  std::uint64_t global_bytes_written = 0;
  std::uint64_t matrix_with_copy_in_flight = 0;
  std::uint64_t matrix_without_copy_in_flight = 0;
};

/// What the runtime needs of hardware. Thread-safe on a GPU; an emulated device runs one call at a time.
class FLASHMASK_API Device {
 public:
  virtual ~Device();
  virtual const DeviceProperties& properties() const = 0;

  /// Device memory, 256-byte aligned, not initialised. Throws Error{kDevice}.
  virtual DevicePointer allocate(std::size_t bytes) = 0;
  virtual void release(DevicePointer pointer) noexcept = 0;
  /// Copies are stream-ordered and complete when they return (the host range may be reused).
  virtual void copy_to_device(DevicePointer destination, std::span<const std::byte> source, Stream stream) = 0;
  virtual void copy_to_host(std::span<std::byte> destination, DevicePointer source, Stream stream) = 0;
  /// Sets bytes, stream-ordered.
  virtual void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream stream) = 0;
  virtual void synchronize(Stream stream) = 0;
  /// Whether a CUDA graph is being made of what is enqueued on the stream, so that nothing may be loaded now. Never on
  /// a device that runs every launch at once.
  virtual bool is_capturing(Stream) const { return false; }

  /// Loads `entry`; `shared_bytes` of dynamic shared memory are opted in to. Throws Error{kDevice}.
  virtual std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                                   std::uint32_t shared_bytes) = 0;
  /// Launches with one by-value parameter of `parameter` bytes. Allocates nothing and takes no lock on a GPU.
  virtual void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
                      Stream stream) = 0;
  /// Encodes a tensor and its box for the kernels of this device. Pure and cheap (no call of the GPU). Throws
  /// Error{kInvalidArgument}, naming the broken rule.
  virtual EncodedTensorMap encode(const TensorBox& box) const = 0;
  /// A clock on the device. Throws Error{kUnsupported} where there is none: an emulator has no time.
  virtual std::unique_ptr<DeviceTimer> make_timer() const;
  /// Statistics summed since the last call; zeros on a GPU.
  virtual LaunchStatistics take_statistics() { return {}; }
};

/// The GPU with this ordinal, in its primary context. Throws Error{kNotFound} without a driver or GPU, saying which.
FLASHMASK_API std::shared_ptr<Device> open_cuda_device(int ordinal = 0);

struct EmulatorOptions {
  Target target{};                  ///< architecture whose code is generated and whose PTX is executed
  std::uint64_t seed = 0;           ///< interleaving of warps and landing of asynchronous copies
  std::string schedule = "random";  ///< how warps take turns: docs/emulator.md lists the names
  bool races = true;                ///< checks that conflicting accesses are ordered
  /// Bulk reductions that add floats to the same bytes count as conflicting: for kernels that promise the same bits.
  bool ordered_sums = false;
  /// Above 0: every launch is run once for each order with at most so many preemptions (and at most `explored_runs` of
  /// them), from the same memory, and must always leave the same bytes. For launches of a few tiles; adds nothing to
  /// the statistics.
  int explored_preemptions = 0;
  std::uint64_t explored_runs = 1000;
};
/// A device that executes PTX on the CPU: for machines without a GPU, and stricter than one. Throws
/// Error{kInvalidArgument} for a schedule that does not exist.
FLASHMASK_API std::shared_ptr<Device> open_emulated_device(const EmulatorOptions& options = {});

/// RAII for one allocation.
class FLASHMASK_API DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(std::shared_ptr<Device> device, std::size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DevicePointer get() const { return pointer_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Device> device_;
  DevicePointer pointer_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace flashmask
