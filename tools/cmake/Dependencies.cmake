# Everything here comes from Debian packages; tools/setup.sh installs them. CUDA's libraries are opened at run time
# and are not needed here; its headers give the types of the driver API and of NVRTC.

# All that is missing is said at once, with the command that mends it.
set(flashmask_missing "")
macro(flashmask_need package debian_package)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    string(APPEND flashmask_missing "\n  ${package} (Debian: ${debian_package})")
  endif()
endmacro()

flashmask_need(fmt libfmt-dev)
flashmask_need(spdlog libspdlog-dev)
flashmask_need(CLI11 libcli11-dev)
flashmask_need(nlohmann_json nlohmann-json3-dev)
flashmask_need(Threads libc6-dev)
if(FLASHMASK_BUILD_TESTS)
  flashmask_need(GTest "libgtest-dev and libgmock-dev")
endif()
if(FLASHMASK_BUILD_BENCH)
  flashmask_need(benchmark libbenchmark-dev)
endif()

# The static libcrypto where there is one, so that libflashmask brings no library of its own into a process that may
# hold another OpenSSL (Python's, for instance).
set(OPENSSL_USE_STATIC_LIBS TRUE)
find_package(OpenSSL QUIET COMPONENTS Crypto)
if(NOT OPENSSL_FOUND)
  set(OPENSSL_USE_STATIC_LIBS FALSE)
  unset(OPENSSL_CRYPTO_LIBRARY CACHE)
  flashmask_need(OpenSSL libssl-dev COMPONENTS Crypto)
endif()

find_library(FLASHMASK_XXHASH_LIBRARY NAMES libxxhash.a xxhash)
find_path(FLASHMASK_XXHASH_INCLUDE xxhash.h)
if(NOT FLASHMASK_XXHASH_LIBRARY OR NOT FLASHMASK_XXHASH_INCLUDE)
  string(APPEND flashmask_missing "\n  xxhash (Debian: libxxhash-dev)")
endif()

# The static one where there is one, for the same reason: Python holds an SQLite, too.
find_library(FLASHMASK_SQLITE_LIBRARY NAMES libsqlite3.a sqlite3)
find_path(FLASHMASK_SQLITE_INCLUDE sqlite3.h)
if(NOT FLASHMASK_SQLITE_LIBRARY OR NOT FLASHMASK_SQLITE_INCLUDE)
  string(APPEND flashmask_missing "\n  sqlite3 (Debian: libsqlite3-dev)")
endif()

find_path(FLASHMASK_DLPACK_INCLUDE dlpack/dlpack.h)
if(NOT FLASHMASK_DLPACK_INCLUDE)
  string(APPEND flashmask_missing "\n  dlpack (Debian: libdlpack-dev)")
endif()

# Its CMake target would link its shared library; the headers do alone.
find_path(FLASHMASK_TOMLPLUSPLUS_INCLUDE toml++/toml.h)
if(NOT FLASHMASK_TOMLPLUSPLUS_INCLUDE)
  string(APPEND flashmask_missing "\n  toml++ (Debian: libtomlplusplus-dev)")
endif()

# CUDA headers: what tools/setup.sh put into .cuda, else an installed toolkit.
set(FLASHMASK_CUDA_INCLUDE "" CACHE PATH "Folder of cuda.h and nvrtc.h; empty: looked for")
if(FLASHMASK_CUDA_INCLUDE)
  set(flashmask_cuda_include ${FLASHMASK_CUDA_INCLUDE})
else()
  set(flashmask_nvcc_root "")
  find_program(flashmask_nvcc nvcc NO_CACHE)
  if(flashmask_nvcc)
    file(REAL_PATH ${flashmask_nvcc} flashmask_nvcc)
    cmake_path(GET flashmask_nvcc PARENT_PATH flashmask_nvcc_root)
    cmake_path(GET flashmask_nvcc_root PARENT_PATH flashmask_nvcc_root)
  endif()
  find_path(flashmask_cuda_include nvrtc.h NO_CACHE
    HINTS ${PROJECT_SOURCE_DIR}/.cuda ENV CUDA_HOME ENV CUDA_PATH
    PATHS /usr/local/cuda ${flashmask_nvcc_root}
    PATH_SUFFIXES include)
endif()
if(NOT EXISTS ${flashmask_cuda_include}/cuda.h OR NOT EXISTS ${flashmask_cuda_include}/nvrtc.h)
  string(APPEND flashmask_missing "\n  cuda.h and nvrtc.h (a CUDA toolkit or its PyPI wheels; or set FLASHMASK_CUDA_INCLUDE)")
endif()

if(flashmask_missing)
  message(FATAL_ERROR "Missing:${flashmask_missing}\ntools/setup.sh installs all of it; run it and configure again.")
endif()

add_library(flashmask_cuda_headers INTERFACE)
target_include_directories(flashmask_cuda_headers SYSTEM INTERFACE ${flashmask_cuda_include})
message(STATUS "CUDA headers: ${flashmask_cuda_include}")

# Where NVRTC is looked for last of all (FLASHMASK_NVRTC, CUDA_HOME, the loader and /usr/local/cuda come before), or
# first where `tools/setup.sh --cuda wheels` forced the wheels on this checkout. Set it to OFF for a package.
set(FLASHMASK_DEFAULT_NVRTC_DIR "" CACHE STRING "Folder of NVRTC of last resort; empty: .cuda/lib if there; OFF: none")
set(flashmask_nvrtc_dir "${FLASHMASK_DEFAULT_NVRTC_DIR}")
if(flashmask_nvrtc_dir STREQUAL "" AND EXISTS ${PROJECT_SOURCE_DIR}/.cuda/lib)
  set(flashmask_nvrtc_dir ${PROJECT_SOURCE_DIR}/.cuda/lib)
endif()
if(flashmask_nvrtc_dir)
  target_compile_definitions(flashmask_cuda_headers INTERFACE FLASHMASK_DEFAULT_NVRTC_DIR="${flashmask_nvrtc_dir}")
  if(EXISTS ${PROJECT_SOURCE_DIR}/.cuda/forced)
    target_compile_definitions(flashmask_cuda_headers INTERFACE FLASHMASK_DEFAULT_NVRTC_FIRST=1)
  endif()
  message(STATUS "NVRTC of this build: ${flashmask_nvrtc_dir}")
endif()

add_library(flashmask_dlpack INTERFACE)
target_include_directories(flashmask_dlpack SYSTEM INTERFACE ${FLASHMASK_DLPACK_INCLUDE})

add_library(flashmask_xxhash INTERFACE)
target_include_directories(flashmask_xxhash SYSTEM INTERFACE ${FLASHMASK_XXHASH_INCLUDE})
target_link_libraries(flashmask_xxhash INTERFACE ${FLASHMASK_XXHASH_LIBRARY})

# The static library brings no list of what it needs itself.
add_library(flashmask_sqlite INTERFACE)
target_include_directories(flashmask_sqlite SYSTEM INTERFACE ${FLASHMASK_SQLITE_INCLUDE})
target_link_libraries(flashmask_sqlite INTERFACE ${FLASHMASK_SQLITE_LIBRARY} Threads::Threads ${CMAKE_DL_LIBS} m)
if(FLASHMASK_SQLITE_LIBRARY MATCHES "\\.a$")
  # Nobody else's, so that it may be configured.
  target_compile_definitions(flashmask_sqlite INTERFACE FLASHMASK_OWN_SQLITE=1)
endif()

add_library(flashmask_tomlplusplus INTERFACE)
target_include_directories(flashmask_tomlplusplus SYSTEM INTERFACE ${FLASHMASK_TOMLPLUSPLUS_INCLUDE})
