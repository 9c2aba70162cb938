#include "tests/forward/ptxas_level.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <nvrtc.h>

#include <vector>

#include "generator/kernel_family.h"
#include "runtime/backward_kernel.h"
#include "runtime/compile/nvrtc.h"
#include "runtime/compile/options.h"
#include "runtime/compile/ptxas_log.h"
#include "runtime/forward_kernel.h"
#include "runtime/forward_sm90_kernel.h"

namespace flashmask::forward_tests {
namespace {

/// The calls that are needed of the NVRTC that the library has found; types from nvrtc.h, addresses from the file.
struct NvrtcCalls {
  explicit NvrtcCalls(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw Error(ErrorCode::kNotFound, fmt::format("{}: {}", path, dlerror()));
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (!function) throw Error(ErrorCode::kNotFound, fmt::format("{} has no symbol {}", path, name));
    };
    find(error_string, "nvrtcGetErrorString");
    find(create, "nvrtcCreateProgram");
    find(destroy, "nvrtcDestroyProgram");
    find(compile, "nvrtcCompileProgram");
    find(log_size, "nvrtcGetProgramLogSize");
    find(log, "nvrtcGetProgramLog");
    find(cubin_size, "nvrtcGetCUBINSize");
    find(cubin, "nvrtcGetCUBIN");
    find(ptx_size, "nvrtcGetPTXSize");
    find(ptx, "nvrtcGetPTX");
  }
  void check(nvrtcResult result, const char* step) const {
    if (result != NVRTC_SUCCESS)
      throw Error(ErrorCode::kCompile, fmt::format("{} failed: {}", step, error_string(result)));
  }
  /// The log, cubin or PTX of a program.
  template <typename SizeOf, typename ContentOf>
  std::string fetch(nvrtcProgram program, SizeOf size_of, ContentOf content_of) const {
    std::size_t size = 0;
    check(size_of(program, &size), "asking for a size");
    std::string bytes(size, '\0');
    check(content_of(program, bytes.data()), "fetching a result");
    return bytes;
  }

  decltype(&nvrtcGetErrorString) error_string = nullptr;
  decltype(&nvrtcCreateProgram) create = nullptr;
  decltype(&nvrtcDestroyProgram) destroy = nullptr;
  decltype(&nvrtcCompileProgram) compile = nullptr;
  decltype(&nvrtcGetProgramLogSize) log_size = nullptr;
  decltype(&nvrtcGetProgramLog) log = nullptr;
  decltype(&nvrtcGetCUBINSize) cubin_size = nullptr;
  decltype(&nvrtcGetCUBIN) cubin = nullptr;
  decltype(&nvrtcGetPTXSize) ptx_size = nullptr;
  decltype(&nvrtcGetPTX) ptx = nullptr;
};

std::shared_ptr<const Kernel> load(const generator::KernelSource& source, const StoredKernel& stored,
                                   const std::shared_ptr<Device>& device) {
  if (source.descriptor.pass == Pass::kBackward) return std::make_shared<BackwardKernel>(device, source, stored, "");
  if (generator::uses_wgmma(source.descriptor)) return std::make_shared<ForwardSm90Kernel>(device, source, stored, "");
  return std::make_shared<ForwardKernel>(device, source, stored, "");
}

}  // namespace

std::vector<std::shared_ptr<const Kernel>> compile_at_level(int ptxas_level, const generator::KernelSource& source,
                                                            std::span<const std::shared_ptr<Device>> devices,
                                                            const Policy& policy) {
  const compile::Nvrtc found = compile::Nvrtc::open(policy);
  const NvrtcCalls nvrtc(found.path());
  std::vector<std::string> options = compile::nvrtc_options(source.descriptor.target, found.version());
  options.push_back(fmt::format("--ptxas-options=-O{}", ptxas_level));
  std::vector<const char*> arguments;
  for (const std::string& option : options) arguments.push_back(option.c_str());

  nvrtcProgram program = nullptr;
  nvrtc.check(nvrtc.create(&program, source.text.c_str(), "flashmask.cu", 0, nullptr, nullptr), "creating a program");
  const nvrtcResult result = nvrtc.compile(program, static_cast<int>(arguments.size()), arguments.data());
  const std::string log = nvrtc.fetch(program, nvrtc.log_size, nvrtc.log);
  if (result != NVRTC_SUCCESS) throw Error(ErrorCode::kCompile, log);
  const std::string cubin = nvrtc.fetch(program, nvrtc.cubin_size, nvrtc.cubin);
  std::string ptx = nvrtc.fetch(program, nvrtc.ptx_size, nvrtc.ptx);
  while (!ptx.empty() && ptx.back() == '\0') ptx.pop_back();
  nvrtc.check(nvrtc.destroy(&program), "destroying a program");

  StoredKernel stored;
  stored.record.resources = compile::parse_ptxas_log(log, source.entry).resources;
  stored.image = {std::as_bytes(std::span(cubin)), std::as_bytes(std::span(ptx))};
  std::vector<std::shared_ptr<const Kernel>> kernels;
  for (const auto& device : devices) kernels.push_back(load(source, stored, device));
  return kernels;
}

}  // namespace flashmask::forward_tests
