#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <typeinfo>
#include <utility>

#include "emulator/machine/machine.h"
#include "emulator/machine/tensor_map.h"
#include "flashmask/device.h"
#include "flashmask/error.h"
#include "runtime/device/tensor_box.h"

namespace flashmask {
namespace {

/// Two, so that kernels whose CTAs share out the work among themselves have somebody to share it with.
constexpr int kMultiprocessors = 2;

class EmulatedKernel final : public LoadedKernel {
 public:
  EmulatedKernel(std::shared_ptr<const emulator::Program> program, std::string entry)
      : program_(std::move(program)), entry_(std::move(entry)) {}
  const emulator::Program& program() const { return *program_; }
  const std::string& entry() const { return entry_; }

 private:
  std::shared_ptr<const emulator::Program> program_;
  std::string entry_;
};

/// Runs the machine's call and turns its fault, whose text is a whole report, into an Error.
template <typename Call>
decltype(auto) reporting(const std::string& doing, Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const emulator::Fault& fault) {
    const bool unsupported = fault.kind() == emulator::Fault::Kind::kUnsupported;
    throw Error(unsupported ? ErrorCode::kUnsupported : ErrorCode::kDevice,
                fmt::format("the emulator stopped while {}: {}", doing, fault.what()));
  }
}

class EmulatedDevice final : public Device {
 public:
  explicit EmulatedDevice(const EmulatorOptions& options)
      : machine_(machine_options(options)),
        exploration_{
            .preemptions = options.explored_preemptions, .most_runs = options.explored_runs, .same_results = true} {
    properties_.kind = DeviceKind::kEmulator;
    properties_.name = "PTX emulator";
    properties_.target = options.target;
    properties_.multiprocessors = kMultiprocessors;
    properties_.shared_bytes_per_block = machine_options(options).max_shared_bytes;
  }

  const DeviceProperties& properties() const override { return properties_; }

  DevicePointer allocate(std::size_t bytes) override {
    std::lock_guard lock(mutex_);
    return reporting(fmt::format("allocating {} bytes", bytes), [&] { return machine_.allocate(bytes); });
  }

  void release(DevicePointer pointer) noexcept override {
    if (!pointer) return;
    std::lock_guard lock(mutex_);
    try {
      machine_.release(pointer);
    } catch (const emulator::Fault&) {
      // An address that is not ours, or was released before: like free(), there is nobody to tell.
    }
  }

  void copy_to_device(DevicePointer destination, std::span<const std::byte> source, Stream) override {
    if (source.empty()) return;
    std::lock_guard lock(mutex_);
    reporting("copying to the device", [&] { machine_.write(destination, source); });
  }

  void copy_to_host(std::span<std::byte> destination, DevicePointer source, Stream) override {
    if (destination.empty()) return;
    std::lock_guard lock(mutex_);
    reporting("copying from the device", [&] { machine_.read(destination, source); });
  }

  void fill(DevicePointer destination, std::uint8_t value, std::size_t bytes, Stream) override {
    if (bytes == 0) return;
    std::lock_guard lock(mutex_);
    reporting("filling memory", [&] { machine_.fill(destination, value, bytes); });
  }

  // A launch has run to its end when it returns; one that is running in another thread holds the lock.
  void synchronize(Stream) override { std::lock_guard lock(mutex_); }

  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override {
    if (shared_bytes > properties_.shared_bytes_per_block)
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{} needs {} bytes of shared memory per block: the emulator allows {}", entry,
                              shared_bytes, properties_.shared_bytes_per_block));
    const std::string_view ptx(reinterpret_cast<const char*>(image.ptx.data()), image.ptx.size());
    return std::make_shared<EmulatedKernel>(
        reporting(fmt::format("reading the PTX of {}", entry), [&] { return emulator::Program::parse(ptx); }), entry);
  }

  EncodedTensorMap encode(const TensorBox& box) const override {
    std::string rule = broken_rule(box);
    EncodedTensorMap encoded;
    if (rule.empty()) {
      using emulator::TensorSwizzle;
      const BoxStrides strides = strides_in_bytes(box);
      emulator::TensorMap map;
      map.element = emulator::TensorElement::kU16;
      map.rank = 4;
      map.address = box.data;
      map.sizes = {static_cast<std::uint64_t>(box.columns), static_cast<std::uint64_t>(box.seqlen),
                   static_cast<std::uint64_t>(box.heads), static_cast<std::uint64_t>(box.batch)};
      map.strides = {strides.seqlen, strides.heads, strides.batch};
      map.box = {static_cast<std::uint32_t>(box.box_columns), static_cast<std::uint32_t>(box.box_rows), 1, 1};
      map.swizzle = box.box_columns == 64   ? TensorSwizzle::k128
                    : box.box_columns == 32 ? TensorSwizzle::k64
                                            : TensorSwizzle::k32;
      encoded.bytes = emulator::encode(map, rule);
    }
    if (!rule.empty()) throw Error(ErrorCode::kInvalidArgument, rule);
    return encoded;
  }

  void launch(const LoadedKernel& kernel, const LaunchGeometry& geometry, std::span<const std::byte> parameter,
              Stream) override {
    if (typeid(kernel) != typeid(EmulatedKernel))
      throw Error(ErrorCode::kInvalidArgument, "the kernel was loaded on another kind of device");
    const auto& loaded = static_cast<const EmulatedKernel&>(kernel);
    emulator::LaunchShape shape;
    for (int axis = 0; axis < 3; ++axis) shape.grid[axis] = geometry.grid[axis];
    shape.block[0] = geometry.block;
    shape.dynamic_shared_bytes = geometry.shared_bytes;
    std::lock_guard lock(mutex_);
    if (exploration_.preemptions > 0) {
      reporting("exploring " + loaded.entry(),
                [&] { machine_.explore(loaded.program(), loaded.entry(), shape, parameter, exploration_); });
      return;
    }
    statistics_ += reporting("running " + loaded.entry(),
                             [&] { return machine_.launch(loaded.program(), loaded.entry(), shape, parameter); });
  }

  LaunchStatistics take_statistics() override {
    std::lock_guard lock(mutex_);
    const emulator::Statistics taken = std::exchange(statistics_, {});
    return {.instructions = taken.instructions,
            .matrix_instructions = taken.mma_with_copy_in_flight + taken.mma_without_copy_in_flight,
            .shared_bank_conflicts = taken.shared_bank_conflicts,
            .global_bytes_read = taken.global_bytes_read,
            .global_bytes_written = taken.global_bytes_written,
            .matrix_with_copy_in_flight = taken.mma_with_copy_in_flight,
            .matrix_without_copy_in_flight = taken.mma_without_copy_in_flight};
  }

 private:
  static emulator::MachineOptions machine_options(const EmulatorOptions& options) {
    const std::optional<emulator::Schedule> schedule = emulator::schedule_named(options.schedule);
    if (!schedule) {
      std::string known;
      for (const emulator::Schedule each : emulator::all_schedules()) known += fmt::format(" {}", name_of(each));
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the emulator has no schedule '{}'; it has:{}", options.schedule, known));
    }
    return {.seed = options.seed, .schedule = *schedule, .races = options.races, .ordered_sums = options.ordered_sums};
  }

  std::mutex mutex_;
  emulator::Machine machine_;
  emulator::ExplorationLimits exploration_;
  emulator::Statistics statistics_;
  DeviceProperties properties_;
};

}  // namespace

std::shared_ptr<Device> open_emulated_device(const EmulatorOptions& options) {
  return std::make_shared<EmulatedDevice>(options);
}

}  // namespace flashmask
