# symbiont_library(NAME SOURCES ... DEPENDS ...): the static library symbiont_NAME of one folder of src/.
function(symbiont_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(symbiont_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(symbiont_${name} PUBLIC symbiont_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
endfunction()

# symbiont_program(NAME SOURCES ... DEPENDS ...): an executable in bin/.
function(symbiont_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE symbiont_options ${ARG_DEPENDS})
endfunction()

# symbiont_test(NAME LABEL unit SOURCES ... DEPENDS ... [TIMEOUT seconds]): one GoogleTest program, one ctest entry.
# A test program that skips for want of a kernel feature exits 77 and prints why; SYMBIONT_REQUIRE=all turns that into failure.
function(symbiont_test name)
  if(NOT BUILD_TESTING)
    return()
  endif()
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPENDS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE symbiont_options ${ARG_DEPENDS} GTest::gmock GTest::gtest symbiont_test_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "SYMBIONT_BIN_DIR=${PROJECT_BINARY_DIR}/bin;SYMBIONT_SOURCE_DIR=${PROJECT_SOURCE_DIR};${ARG_ENVIRONMENT}")
endfunction()
