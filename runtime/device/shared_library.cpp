#include "runtime/device/shared_library.h"

#include <dlfcn.h>

#include <utility>

namespace flashmask {

std::optional<SharedLibrary> SharedLibrary::open(const std::string& name, std::string& why) {
  if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return SharedLibrary(handle);
  const char* reason = dlerror();
  why = reason ? reason : "dlopen failed without a reason";
  return std::nullopt;
}

SharedLibrary::SharedLibrary(SharedLibrary&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), closes_(other.closes_) {}

SharedLibrary& SharedLibrary::operator=(SharedLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(closes_, other.closes_);
  return *this;
}

SharedLibrary::~SharedLibrary() {
  if (handle_ && closes_) dlclose(handle_);
}

void* SharedLibrary::symbol(const char* name) const {
  return handle_ ? dlsym(handle_, name) : nullptr;
}

std::string SharedLibrary::path_of(const void* symbol) {
  Dl_info info{};
  return symbol && dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "";
}

}  // namespace flashmask
