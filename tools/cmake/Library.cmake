# libflashmask: the rooms in one shared library. The two rooms with public symbols go in whole; the others are pulled in
# by need. The version script is its only source, so that CMake has one.
set(flashmask_exports ${CMAKE_CURRENT_LIST_DIR}/exports.map)
add_library(flashmask SHARED ${flashmask_exports})
add_library(flashmask::flashmask ALIAS flashmask)
target_link_libraries(flashmask PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,flashmask_runtime,flashmask_generator>)
target_link_options(flashmask PRIVATE LINKER:--version-script=${flashmask_exports})
if(NOT FLASHMASK_SANITIZE)
  target_link_options(flashmask PRIVATE LINKER:-z,defs)  # a sanitizer's symbols come from the executable
endif()
target_include_directories(flashmask INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime/include>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/generator/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(flashmask INTERFACE cxx_std_20)
set_target_properties(flashmask PROPERTIES
  LINKER_LANGUAGE CXX
  # Before 1.0 every minor version may change the ABI.
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  LINK_DEPENDS ${flashmask_exports}
  LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,flashmask_runtime,flashmask_generator"
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
