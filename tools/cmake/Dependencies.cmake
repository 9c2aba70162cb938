# Everything here comes from Debian packages; tools/setup.sh installs them. CUDA's libraries are opened at run time
# and are not needed here; its headers give the types of the driver API and of NVRTC.
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus QUIET)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Threads REQUIRED)

find_library(FLASHMASK_XXHASH_LIBRARY NAMES libxxhash.a xxhash REQUIRED)
find_path(FLASHMASK_XXHASH_INCLUDE xxhash.h REQUIRED)

# CUDA headers: an installed toolkit, else the folder that tools/setup.sh fills from the PyPI wheels.
find_path(FLASHMASK_CUDA_INCLUDE cuda.h
  HINTS ${PROJECT_SOURCE_DIR}/.cuda/include ENV CUDA_HOME ENV CUDA_PATH
  PATHS /usr/local/cuda/include /usr/local/cuda/targets/x86_64-linux/include
  PATH_SUFFIXES include)
if(NOT FLASHMASK_CUDA_INCLUDE OR NOT EXISTS ${FLASHMASK_CUDA_INCLUDE}/nvrtc.h)
  message(FATAL_ERROR "cuda.h and nvrtc.h were not found. Run tools/setup.sh (it uses an installed CUDA toolkit or "
                      "fetches the headers from PyPI wheels), or set FLASHMASK_CUDA_INCLUDE.")
endif()
add_library(flashmask_cuda_headers INTERFACE)
target_include_directories(flashmask_cuda_headers SYSTEM INTERFACE ${FLASHMASK_CUDA_INCLUDE})

add_library(flashmask_xxhash INTERFACE)
target_include_directories(flashmask_xxhash SYSTEM INTERFACE ${FLASHMASK_XXHASH_INCLUDE})
target_link_libraries(flashmask_xxhash INTERFACE ${FLASHMASK_XXHASH_LIBRARY})
