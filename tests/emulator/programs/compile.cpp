#include "tests/emulator/programs/compile.h"

#include <fmt/format.h>
#include <nvrtc.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "cache/digest.h"
#include "flashmask/error.h"
#include "runtime/compile/nvrtc.h"
#include "runtime/device/shared_library.h"
#include "tests/emulator/programs/embedded.h"

namespace flashmask::emulator::programs {
namespace {

constexpr std::string_view kEntryComment = "// entry ";

/// NVRTC as the programs need it: with headers, and with names for the instances of templates.
class Compiler {
 public:
  Compiler() : nvrtc_(compile::Nvrtc::open(Policy::from_environment())) {
    std::string why;
    library_ = SharedLibrary::open(nvrtc_.path(), why);
    if (!library_) throw Error(ErrorCode::kNotFound, why);
    library_->keep_loaded();
    bind(create_, "nvrtcCreateProgram");
    bind(destroy_, "nvrtcDestroyProgram");
    bind(add_name_, "nvrtcAddNameExpression");
    bind(compile_, "nvrtcCompileProgram");
    bind(log_size_, "nvrtcGetProgramLogSize");
    bind(log_, "nvrtcGetProgramLog");
    bind(lowered_name_, "nvrtcGetLoweredName");
    bind(ptx_size_, "nvrtcGetPTXSize");
    bind(ptx_, "nvrtcGetPTX");
  }

  std::string version() const { return fmt::format("{}.{}", nvrtc_.version().major, nvrtc_.version().minor); }

  std::string compile(const Theme& theme) const {
    const std::string file = fmt::format("{}.cu", theme.name);
    std::vector<std::string> texts, names;
    std::string main;
    for (const Source& source : embedded_sources()) {
      if (source.name == file) main = source.text;
      if (source.name.ends_with(".cuh")) {
        names.emplace_back(source.name);
        texts.emplace_back(source.text);
      }
    }
    const std::vector<const char*> header_texts = pointers(texts), header_names = pointers(names);
    nvrtcProgram handle = nullptr;
    check(create_(&handle, main.c_str(), file.c_str(), static_cast<int>(texts.size()), header_texts.data(),
                  header_names.data()),
          "nvrtcCreateProgram", file);
    const auto destroy = [this](nvrtcProgram program) { destroy_(&program); };
    const std::unique_ptr<std::remove_pointer_t<nvrtcProgram>, decltype(destroy)> program(handle, destroy);

    std::vector<std::string> instances;
    for (const TestProgram& each : theme.programs) {
      for (std::size_t fault = 0; fault <= each.faults.size(); ++fault) instances.push_back(each.instance(fault));
    }
    for (const std::string& each : instances) check(add_name_(handle, each.c_str()), "nvrtcAddNameExpression", each);
    const std::vector<std::string> options = options_of(theme);
    const std::vector<const char*> arguments = pointers(options);
    if (compile_(handle, static_cast<int>(arguments.size()), arguments.data()) != NVRTC_SUCCESS) {
      throw Error(ErrorCode::kCompile,
                  fmt::format("NVRTC {} could not compile {} with the headers in {}:\n{}", version(), file,
                              cuda_include_folder(), fetch(handle, log_size_, log_)));
    }
    std::string text;
    for (const std::string& each : instances) {
      const char* name = nullptr;
      check(lowered_name_(handle, each.c_str(), &name), "nvrtcGetLoweredName", each);
      text += fmt::format("{}{} {}\n", kEntryComment, name, each);
    }
    return text + fetch(handle, ptx_size_, ptx_);
  }

  static std::vector<std::string> options_of(const Theme& theme) {
    const std::string include = cuda_include_folder();
    return {fmt::format("--gpu-architecture=compute_{}", theme.architecture), "--std=c++20",
            "--modify-stack-limit=false",
            // The headers of the toolkit warn of themselves.
            "--disable-warnings", "--include-path=" + include, "--include-path=" + include + "/cccl"};
  }

 private:
  template <class Function>
  void bind(Function& function, const char* name) {
    function = reinterpret_cast<Function>(library_->symbol(name));
    if (!function) throw Error(ErrorCode::kNotFound, fmt::format("{} has no symbol {}", nvrtc_.path(), name));
  }
  static std::vector<const char*> pointers(const std::vector<std::string>& strings) {
    std::vector<const char*> result;
    for (const std::string& each : strings) result.push_back(each.c_str());
    return result;
  }
  static void check(nvrtcResult result, std::string_view call, std::string_view about) {
    if (result != NVRTC_SUCCESS) {
      throw Error(ErrorCode::kCompile, fmt::format("{} failed for {}: code {}", call, about, static_cast<int>(result)));
    }
  }
  /// A text of NVRTC, without its closing NUL.
  template <class Size, class Content>
  static std::string fetch(nvrtcProgram program, Size size_of, Content content_of) {
    std::size_t size = 0;
    check(size_of(program, &size), "asking for a size", "NVRTC's output");
    std::string text(size, '\0');
    check(content_of(program, text.data()), "asking for a text", "NVRTC's output");
    text.resize(text.find('\0'));
    return text;
  }

  compile::Nvrtc nvrtc_;
  std::optional<SharedLibrary> library_;
  decltype(&nvrtcCreateProgram) create_ = nullptr;
  decltype(&nvrtcDestroyProgram) destroy_ = nullptr;
  decltype(&nvrtcAddNameExpression) add_name_ = nullptr;
  decltype(&nvrtcCompileProgram) compile_ = nullptr;
  decltype(&nvrtcGetProgramLogSize) log_size_ = nullptr;
  decltype(&nvrtcGetProgramLog) log_ = nullptr;
  decltype(&nvrtcGetLoweredName) lowered_name_ = nullptr;
  decltype(&nvrtcGetPTXSize) ptx_size_ = nullptr;
  decltype(&nvrtcGetPTX) ptx_ = nullptr;
};

const Compiler& compiler() {
  static const Compiler only;
  return only;
}

/// Everything that decides what compile() gives.
std::string key_of(const Theme& theme) {
  cache::DigestBuilder digest;
  digest.add(compiler().version());
  for (const std::string& each : Compiler::options_of(theme)) digest.add(each);
  for (const Source& each : embedded_sources()) {
    if (each.name.ends_with(".cuh") || each.name == fmt::format("{}.cu", theme.name)) digest.add(each.text);
  }
  for (const TestProgram& each : theme.programs) digest.add(each.instance(each.faults.size()));
  return digest.finish().hex();
}

}  // namespace

std::string cuda_include_folder() {
  if (std::filesystem::is_directory(FLASHMASK_PROGRAMS_CUDA_INCLUDE)) return FLASHMASK_PROGRAMS_CUDA_INCLUDE;
  const char* home = std::getenv("CUDA_HOME");
  return std::string(home ? home : "/usr/local/cuda") + "/include";
}

std::string compile(const Theme& theme) {
  return compiler().compile(theme);
}

std::string compile_once(const Theme& theme, const std::string& folder) {
  const std::string path = fmt::format("{}/{}-{}.ptx", folder, theme.name, key_of(theme).substr(0, 24));
  if (std::ifstream file(path); file) return {std::istreambuf_iterator<char>(file), {}};
  std::filesystem::create_directories(folder);
  std::string text = compile(theme);
  // Beside and renamed: tests of other processes may look for it now.
  const std::string unfinished = fmt::format("{}.{}", path, getpid());
  std::ofstream(unfinished) << text;
  std::filesystem::rename(unfinished, path);
  return text;
}

Module module_of(std::string text) {
  Module module;
  for (std::size_t at = 0; text.compare(at, kEntryComment.size(), kEntryComment) == 0;) {
    const std::size_t name = at + kEntryComment.size();
    const std::size_t space = text.find(' ', name);
    const std::size_t end = text.find('\n', space);
    module.entries[text.substr(space + 1, end - space - 1)] = text.substr(name, space - name);
    at = end + 1;
  }
  module.ptx = std::move(text);
  return module;
}

}  // namespace flashmask::emulator::programs
