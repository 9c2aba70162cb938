# flashmask_fuzz(NAME TEST Sentence SOURCES … USES … SEEDS FOLDER [DICTIONARY FILE] MUTATIONS N): a program around one
# LLVMFuzzerTestOneInput(). With FLASHMASK_BUILD_FUZZERS it is libFuzzer's, to be run for long and by hand; otherwise it
# has our own driver, any compiler will do, and CTest runs Fuzz.Sentence: the seeds and N mutations of them, the same in
# every run. SEEDS is a folder of those that write_fuzz_seeds writes, or a full path.
set(FLASHMASK_FUZZ_SEEDS ${PROJECT_BINARY_DIR}/fuzz-seeds)

function(flashmask_fuzz name)
  cmake_parse_arguments(FUZZ "" "TEST;SEEDS;DICTIONARY;MUTATIONS" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${FUZZ_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE flashmask_options ${FUZZ_USES})
  if(FLASHMASK_BUILD_FUZZERS)
    target_compile_options(${name} PRIVATE -g)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    return()
  endif()

  target_link_libraries(${name} PRIVATE flashmask_replay_corpus)
  cmake_path(ABSOLUTE_PATH FUZZ_SEEDS BASE_DIRECTORY ${FLASHMASK_FUZZ_SEEDS})
  set(dictionary "")
  if(FUZZ_DICTIONARY)
    set(dictionary --dictionary ${CMAKE_CURRENT_SOURCE_DIR}/${FUZZ_DICTIONARY})
  endif()
  add_test(NAME Fuzz.${FUZZ_TEST}
    COMMAND ${name} --mutations ${FUZZ_MUTATIONS} ${dictionary} ${FUZZ_SEEDS})
  set_tests_properties(Fuzz.${FUZZ_TEST} PROPERTIES LABELS fuzz FIXTURES_REQUIRED fuzz_seeds TIMEOUT 300)
endfunction()
