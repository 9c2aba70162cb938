#pragma once

#include <optional>
#include <string>

namespace flashmask {

/// A library opened at run time. Movable; closed with its owner unless kept. Not thread-safe.
class SharedLibrary {
 public:
  /// Opens `name` (a path, or a soname for the loader to find); nothing on failure, with the loader's words in `why`.
  static std::optional<SharedLibrary> open(const std::string& name, std::string& why);
  SharedLibrary(SharedLibrary&& other) noexcept;
  SharedLibrary& operator=(SharedLibrary&& other) noexcept;
  ~SharedLibrary();

  /// The address of a symbol, or null.
  void* symbol(const char* name) const;
  /// The file that holds the symbol, or empty: where the loader found a library opened by soname.
  static std::string path_of(const void* symbol);
  /// Leaves the library loaded until the process ends: for libraries that do not survive being closed.
  void keep_loaded() { closes_ = false; }

 private:
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  void* handle_ = nullptr;
  bool closes_ = true;
};

}  // namespace flashmask
