# The rooms link fmt::fmt-header-only. Where the installed {fmt} is of the major version that fmt_once.cpp knows, that
# target stands for one object of ours instead of the same code in every file: a third of the time to build. With any
# other version it stays what its name says.
if(fmt_VERSION VERSION_GREATER_EQUAL 9 AND fmt_VERSION VERSION_LESS 10)
  add_library(flashmask_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/fmt_once.cpp)
  get_target_property(flashmask_fmt_include fmt::fmt-header-only INTERFACE_INCLUDE_DIRECTORIES)
  target_include_directories(flashmask_fmt SYSTEM PRIVATE ${flashmask_fmt_include})
  set_target_properties(fmt::fmt-header-only PROPERTIES
    INTERFACE_COMPILE_DEFINITIONS "" INTERFACE_LINK_LIBRARIES flashmask_fmt)
endif()
# spdlog's header-only target brings the shared libfmt; ours does not.
set_target_properties(spdlog::spdlog_header_only PROPERTIES
  INTERFACE_LINK_LIBRARIES "Threads::Threads;fmt::fmt-header-only")
