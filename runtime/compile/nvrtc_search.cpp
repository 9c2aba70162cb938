#include "runtime/compile/nvrtc_search.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace flashmask::compile {
namespace {

constexpr std::array<const char*, 2> kSonames = {"libnvrtc.so.13", "libnvrtc.so.12"};

void add_folder(std::vector<NvrtcCandidate>& candidates, const std::string& folder, const std::string& origin) {
  for (const char* soname : kSonames) candidates.push_back({folder + "/" + soname, origin});
}

}  // namespace

std::vector<NvrtcCandidate> nvrtc_candidates(const Policy& policy) {
  if (!policy.nvrtc_path.empty()) return {{policy.nvrtc_path, "FLASHMASK_NVRTC"}};
  std::vector<NvrtcCandidate> candidates;
#if defined(FLASHMASK_DEFAULT_NVRTC_DIR) && defined(FLASHMASK_DEFAULT_NVRTC_FIRST)
  add_folder(candidates, FLASHMASK_DEFAULT_NVRTC_DIR, "the folder chosen for this build");
#endif
  for (const std::string& toolkit : policy.cuda_toolkits) {
    add_folder(candidates, toolkit + "/lib64", "CUDA_HOME or CUDA_PATH");
    add_folder(candidates, toolkit + "/lib", "CUDA_HOME or CUDA_PATH");
  }
  for (const char* soname : kSonames) candidates.push_back({soname, "the loader's search path"});
  add_folder(candidates, "/usr/local/cuda/lib64", "the usual place of the toolkit");
#if defined(FLASHMASK_DEFAULT_NVRTC_DIR) && !defined(FLASHMASK_DEFAULT_NVRTC_FIRST)
  add_folder(candidates, FLASHMASK_DEFAULT_NVRTC_DIR, "the folder chosen for this build");
#endif
  return candidates;
}

std::vector<std::string> builtins_beside(const std::string& library) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> folders = {fs::path(library).parent_path()};
  if (const fs::path real = fs::canonical(library, error); !error && real.parent_path() != folders.front())
    folders.push_back(real.parent_path());
  std::vector<std::string> found;
  for (const fs::path& folder : folders) {
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
      if (entry->path().filename().string().starts_with("libnvrtc-builtins.so."))
        found.push_back(entry->path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace flashmask::compile
