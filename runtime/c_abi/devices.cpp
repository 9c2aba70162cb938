#include "runtime/c_abi/boundary.h"
#include "runtime/c_abi/handles.h"

namespace flashmask::c_abi {
namespace {

template <typename Pointer>
void check_host_range(Pointer pointer, std::size_t bytes, const char* name) {
  if (!pointer && bytes) refuse(fmt::format("{} is null", name));
}

}  // namespace
}  // namespace flashmask::c_abi

using namespace flashmask::c_abi;

extern "C" {

fm_status fm_device_open_cuda(int ordinal, fm_device** device) {
  return guarded([&] {
    fm_device*& into = needed(device, "device");
    into = new fm_device{flashmask::open_cuda_device(ordinal)};
  });
}

fm_status fm_device_open_emulator(const char* target, uint64_t seed, fm_device** device) {
  return guarded([&] {
    fm_device*& into = needed(device, "device");
    flashmask::EmulatorOptions options;
    if (target) options.target = target_of(target);
    options.seed = seed;
    into = new fm_device{flashmask::open_emulated_device(options)};
  });
}

void fm_device_release(fm_device* device) {
  delete device;
}

fm_status fm_device_get_info(const fm_device* device, fm_device_info* info) {
  return guarded([&] {
    const flashmask::DeviceProperties& properties = needed(device, "device").device->properties();
    fm_device_info filled{};
    filled.is_emulator = properties.kind == flashmask::DeviceKind::kEmulator;
    copy_text(filled.name, properties.name);
    copy_text(filled.target, flashmask::to_string(properties.target));
    filled.multiprocessors = properties.multiprocessors;
    filled.shared_bytes_per_block = properties.shared_bytes_per_block;
    filled.memory_bytes = properties.memory_bytes;
    give(info, filled, "fm_device_info");
  });
}

fm_status fm_device_alloc(fm_device* device, size_t bytes, uint64_t* address) {
  return guarded([&] {
    uint64_t& into = needed(address, "address");
    into = needed(device, "device").device->allocate(bytes);
  });
}

fm_status fm_device_free(fm_device* device, uint64_t address) {
  return guarded([&] { needed(device, "device").device->release(address); });
}

fm_status fm_device_copy_in(fm_device* device, uint64_t destination, const void* source, size_t bytes, void* stream) {
  return guarded([&] {
    check_host_range(source, bytes, "source");
    needed(device, "device")
        .device->copy_to_device(destination, {static_cast<const std::byte*>(source), bytes}, stream);
  });
}

fm_status fm_device_copy_out(fm_device* device, void* destination, uint64_t source, size_t bytes, void* stream) {
  return guarded([&] {
    check_host_range(destination, bytes, "destination");
    needed(device, "device").device->copy_to_host({static_cast<std::byte*>(destination), bytes}, source, stream);
  });
}

fm_status fm_device_fill(fm_device* device, uint64_t destination, int value, size_t bytes, void* stream) {
  return guarded([&] {
    needed(device, "device").device->fill(destination, enumerator<std::uint8_t>(value, 255, "value"), bytes, stream);
  });
}

fm_status fm_device_synchronize(fm_device* device, void* stream) {
  return guarded([&] { needed(device, "device").device->synchronize(stream); });
}

}  // extern "C"
