#include "runtime/compile/nvrtc.h"

#include <fmt/format.h>
#include <nvrtc.h>

#include <cctype>
#include <filesystem>
#include <memory>
#include <utility>

#include "runtime/compile/nvrtc_search.h"

namespace flashmask::compile {

/// Types come from nvrtc.h, addresses from the library that is found.
struct Nvrtc::Functions {
  decltype(&nvrtcVersion) version = nullptr;
  decltype(&nvrtcGetErrorString) error_string = nullptr;
  decltype(&nvrtcCreateProgram) create_program = nullptr;
  decltype(&nvrtcDestroyProgram) destroy_program = nullptr;
  decltype(&nvrtcCompileProgram) compile_program = nullptr;
  decltype(&nvrtcGetProgramLogSize) log_size = nullptr;
  decltype(&nvrtcGetProgramLog) log = nullptr;
  decltype(&nvrtcGetCUBINSize) cubin_size = nullptr;
  decltype(&nvrtcGetCUBIN) cubin = nullptr;
  decltype(&nvrtcGetPTXSize) ptx_size = nullptr;
  decltype(&nvrtcGetPTX) ptx = nullptr;

  /// The first symbol that the library lacks, or null.
  const char* bind(const SharedLibrary& library) {
    const char* missing = nullptr;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(library.symbol(name));
      if (!function && !missing) missing = name;
    };
    find(version, "nvrtcVersion");
    find(error_string, "nvrtcGetErrorString");
    find(create_program, "nvrtcCreateProgram");
    find(destroy_program, "nvrtcDestroyProgram");
    find(compile_program, "nvrtcCompileProgram");
    find(log_size, "nvrtcGetProgramLogSize");
    find(log, "nvrtcGetProgramLog");
    find(cubin_size, "nvrtcGetCUBINSize");
    find(cubin, "nvrtcGetCUBIN");
    find(ptx_size, "nvrtcGetPTXSize");
    find(ptx, "nvrtcGetPTX");
    return missing;
  }
};

namespace {

// Fixed, so that no folder of this machine gets into the image.
constexpr const char* kProgramName = "flashmask.cu";

// The first release whose CUBIN and options are what this library asks for.
constexpr NvrtcVersion kOldest{12, 0};

/// Destroys the program on every way out.
template <typename Destroy>
class Program {
 public:
  explicit Program(Destroy destroy) : destroy_(destroy) {}
  ~Program() {
    if (handle_) destroy_(&handle_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  nvrtcProgram* address() { return &handle_; }
  nvrtcProgram get() const { return handle_; }

 private:
  Destroy destroy_;
  nvrtcProgram handle_ = nullptr;
};

}  // namespace

Nvrtc::Nvrtc(SharedLibrary library, std::shared_ptr<const Functions> functions)
    : library_(std::move(library)), functions_(std::move(functions)) {}

Nvrtc Nvrtc::open(const Policy& policy) {
  std::string tried;
  const auto refuse = [&](const NvrtcCandidate& candidate, const std::string& why) {
    tried += fmt::format("\n  {} ({}): {}", candidate.name, candidate.origin, why);
  };
  for (const NvrtcCandidate& candidate : nvrtc_candidates(policy)) {
    if (candidate.is_path()) {
      std::error_code error;
      if (!std::filesystem::exists(candidate.name, error)) {
        refuse(candidate, "no such file");
        continue;
      }
      // NVRTC opens its builtins by name, and outside the loader's search path does not find them (error 7,
      // "failed to open libnvrtc-builtins"), unless they are loaded already. A library without them says so itself.
      std::string ignored;
      for (const std::string& builtins : builtins_beside(candidate.name))
        if (auto opened = SharedLibrary::open(builtins, ignored)) opened->keep_loaded();
    }
    std::string why;
    std::optional<SharedLibrary> library = SharedLibrary::open(candidate.name, why);
    if (!library) {
      refuse(candidate, why);
      continue;
    }
    auto functions = std::make_shared<Functions>();
    if (const char* missing = functions->bind(*library)) {
      refuse(candidate,
             fmt::format("it has no symbol {}: not NVRTC, or older than {}.{}", missing, kOldest.major, kOldest.minor));
      continue;
    }
    NvrtcVersion version;
    if (const nvrtcResult result = functions->version(&version.major, &version.minor); result != NVRTC_SUCCESS) {
      refuse(candidate, fmt::format("nvrtcVersion failed: {}", functions->error_string(result)));
      continue;
    }
    if (version < kOldest) {
      refuse(candidate, fmt::format("NVRTC {}.{} is too old: {}.{} or newer is needed", version.major, version.minor,
                                    kOldest.major, kOldest.minor));
      continue;
    }
    const std::string path = SharedLibrary::path_of(reinterpret_cast<const void*>(functions->version));
    // NVRTC keeps threads and caches of its own: closing it while the process lives gains nothing and has crashed
    // others.
    library->keep_loaded();
    Nvrtc nvrtc(std::move(*library), std::move(functions));
    nvrtc.version_ = version;
    nvrtc.path_ = path.empty() ? candidate.name : path;
    nvrtc.origin_ = candidate.origin;
    return nvrtc;
  }
  throw Error(ErrorCode::kNotFound, "NVRTC, the CUDA run-time compiler, was not found. Tried:" + tried,
              "Run tools/setup.sh, or install the toolkit's NVRTC (CUDA 12 or 13), or name the library: "
              "FLASHMASK_NVRTC=/path/to/libnvrtc.so.13. A cache that holds the kernel needs no compiler.");
}

NvrtcOutput Nvrtc::compile(const std::string& text, const std::string& entry, Target target) const {
  const Functions& nvrtc = *functions_;
  const auto check = [&](nvrtcResult result, const char* call) {
    if (result != NVRTC_SUCCESS)
      throw Error(ErrorCode::kCompile, fmt::format("{} failed for {}: {}", call, entry, nvrtc.error_string(result)));
  };
  Program program(nvrtc.destroy_program);
  check(nvrtc.create_program(program.address(), text.c_str(), kProgramName, 0, nullptr, nullptr), "nvrtcCreateProgram");

  const std::vector<std::string> options = nvrtc_options(target, version_);
  std::vector<const char*> arguments;
  for (const std::string& option : options) arguments.push_back(option.c_str());
  const nvrtcResult result = nvrtc.compile_program(program.get(), static_cast<int>(arguments.size()), arguments.data());

  const auto fetch = [&](auto size_of, auto content_of, const char* call) {
    std::size_t size = 0;
    check(size_of(program.get(), &size), call);
    std::string bytes(size, '\0');
    if (size) check(content_of(program.get(), bytes.data()), call);
    return bytes;
  };
  const auto without_nul = [](std::string content) {
    while (!content.empty() && content.back() == '\0') content.pop_back();
    return content;
  };
  NvrtcOutput output;
  output.log = without_nul(fetch(nvrtc.log_size, nvrtc.log, "nvrtcGetProgramLog"));
  if (result != NVRTC_SUCCESS) {
    const bool unknown_option = result == NVRTC_ERROR_INVALID_OPTION;
    throw Error(ErrorCode::kCompile,
                fmt::format("NVRTC {}.{} could not compile {} for {} ({}):\n{}", version_.major, version_.minor, entry,
                            to_string(target), nvrtc.error_string(result), output.log),
                unknown_option
                    ? fmt::format("This NVRTC ({}) may not know {}: use a newer one.", path_, to_string(target))
                    : "");
  }
  const std::string cubin = fetch(nvrtc.cubin_size, nvrtc.cubin, "nvrtcGetCUBIN");
  const auto* bytes = reinterpret_cast<const std::byte*>(cubin.data());
  output.cubin.assign(bytes, bytes + cubin.size());
  output.ptx = without_nul(fetch(nvrtc.ptx_size, nvrtc.ptx, "nvrtcGetPTX"));
  if (output.cubin.empty() || output.ptx.empty())
    throw Error(ErrorCode::kCompile,
                fmt::format("NVRTC compiled {} for {} without giving both cubin and PTX", entry, to_string(target)));
  return output;
}

std::string toolchain_name(const std::string& ptx, NvrtcVersion version) {
  // "// Cuda compilation tools, release 13.0, V13.0.88" stands in the first lines.
  const std::string_view head = std::string_view(ptx).substr(0, 1024);
  if (const std::size_t place = head.find(", V"); place != std::string_view::npos) {
    std::string_view number = head.substr(place + 3);
    std::size_t end = 0;
    while (end < number.size() && (std::isdigit(static_cast<unsigned char>(number[end])) || number[end] == '.')) ++end;
    if (end > 0) return fmt::format("nvrtc {}", number.substr(0, end));
  }
  return fmt::format("nvrtc {}.{}", version.major, version.minor);
}

}  // namespace flashmask::compile
