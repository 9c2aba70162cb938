# A room of the house is one static, position-independent library. It names what it may use, so a build that breaks
# the order of the rooms does not link.
add_library(flashmask_options INTERFACE)
target_compile_options(flashmask_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow)
if(FLASHMASK_WERROR)
  target_compile_options(flashmask_options INTERFACE -Werror)
endif()
if(FLASHMASK_SANITIZE)
  target_compile_options(flashmask_options INTERFACE -fsanitize=${FLASHMASK_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(flashmask_options INTERFACE -fsanitize=${FLASHMASK_SANITIZE})
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

# flashmask_test(NAME SOURCES … USES …): one GoogleTest program, every test of it known to CTest.
function(flashmask_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;USES;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE flashmask_options ${TEST_USES} GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 600)
endfunction()
