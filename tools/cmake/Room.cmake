# A room of the house is one static, position-independent library. It names what it may use, so a build that breaks
# the order of the rooms does not link.
add_library(flashmask_options INTERFACE)
target_compile_options(flashmask_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlapping copies in `"text" + string` at -O2 (its bug 105651); GCC 13 does not.
  target_compile_options(flashmask_options INTERFACE -Wno-restrict)
endif()
if(FLASHMASK_WERROR)
  target_compile_options(flashmask_options INTERFACE -Werror)
endif()

# Sanitizers go to every object and every link, those without flashmask_options included.
if(FLASHMASK_SANITIZE)
  add_compile_options(-fsanitize=${FLASHMASK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FLASHMASK_SANITIZE})
endif()

# flashmask_room(NAME SOURCES … USES …): the target flashmask_NAME. Public headers lie in include/ of the folder; inside
# the project a header of the room NAME is also reached as "NAME/header.h".
function(flashmask_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(flashmask_${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(flashmask_${name} PUBLIC ${ROOM_USES} PRIVATE flashmask_options ${ROOM_PRIVATE_USES})
  target_include_directories(flashmask_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_include_directories(flashmask_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
  endif()
endfunction()

# GoogleTest's headers, compiled once for all tests: more than a second less for each of their files.
if(FLASHMASK_BUILD_TESTS)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/test_headers.cpp CONTENT "// GoogleTest, precompiled.\n")
  add_library(flashmask_test_headers OBJECT ${PROJECT_BINARY_DIR}/test_headers.cpp)
  target_link_libraries(flashmask_test_headers PRIVATE flashmask_options GTest::gmock)
  # As the tests themselves are compiled: programs, and optimised less than what they test.
  set_target_properties(flashmask_test_headers PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(flashmask_test_headers PRIVATE -fPIE $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(flashmask_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
endif()

# flashmask_test(NAME SOURCES … USES …): one GoogleTest program, every test of it known to CTest.
function(flashmask_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;USES;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE flashmask_options ${TEST_USES} GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(${name} REUSE_FROM flashmask_test_headers)
  set(properties TIMEOUT 600)
  if(TEST_LABELS)
    list(APPEND properties LABELS "${TEST_LABELS}")
  endif()
  # The printed values of parameters may hold addresses, which would give a test another name in each build.
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
endfunction()
