# What a user of the library gets: include/flashmask, lib/libflashmask.so, bin/flashmask, and both ways to find them.
include(CMakePackageConfigHelpers)

install(TARGETS flashmask EXPORT flashmaskTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(room runtime generator)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
endforeach()

# The command finds the library beside itself wherever the tree is moved.
file(RELATIVE_PATH flashmask_lib_from_bin /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(flashmask_command PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin
  INSTALL_RPATH "$ORIGIN/${flashmask_lib_from_bin}")
install(TARGETS flashmask_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(flashmask_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/flashmask)
install(EXPORT flashmaskTargets NAMESPACE flashmask:: DESTINATION ${flashmask_package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/flashmaskConfig.cmake.in
  ${PROJECT_BINARY_DIR}/flashmaskConfig.cmake INSTALL_DESTINATION ${flashmask_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/flashmaskConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/flashmaskConfig.cmake ${PROJECT_BINARY_DIR}/flashmaskConfigVersion.cmake
  DESTINATION ${flashmask_package_dir})

file(RELATIVE_PATH flashmask_prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/flashmask.pc.in ${PROJECT_BINARY_DIR}/flashmask.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/flashmask.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
