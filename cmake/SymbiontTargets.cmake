# symbiont_library(NAME SOURCES ... DEPENDS ... [PRIVATE_DEPENDS ...]): the static library symbiont_NAME of one folder of src/.
function(symbiont_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(symbiont_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(symbiont_${name} PUBLIC symbiont_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
endfunction()

# symbiont_program(NAME SOURCES ... DEPENDS ...): an executable in bin/, installed there. The programs find each other side by side.
function(symbiont_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE symbiont_options ${ARG_DEPENDS})
  install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endfunction()

# The default model as scripts/bootstrap leaves it; tests find its path in SYMBIONT_TEST_MODEL, which may be preset.
function(symbiont_default_model out)
  set(cache "$ENV{XDG_CACHE_HOME}")
  if(NOT cache)
    set(cache "$ENV{HOME}/.cache")
  endif()
  file(STRINGS "${PROJECT_SOURCE_DIR}/scripts/versions" line REGEX "^MODEL_FILE=")
  string(REGEX REPLACE "^MODEL_FILE=" "" file "${line}")
  set(${out} "${cache}/symbiont/models/${file}" PARENT_SCOPE)
endfunction()

# The environment of every test.
symbiont_default_model(SYMBIONT_TEST_MODEL)
set(SYMBIONT_TEST_ENVIRONMENT
  "SYMBIONT_BIN_DIR=${PROJECT_BINARY_DIR}/bin"
  "SYMBIONT_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "SYMBIONT_TEST_MODEL=${SYMBIONT_TEST_MODEL}")

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
    ENVIRONMENT "${SYMBIONT_TEST_ENVIRONMENT};${ARG_ENVIRONMENT}")
endfunction()
