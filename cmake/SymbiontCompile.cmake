# Language level, warnings, hardening and sanitizers, applied to every target of the project by symbiont_library() and kin.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

# ccache where there is one. With paths taken relative to the checkout, every clone of the project shares what one of them has compiled.
find_program(SYMBIONT_CCACHE ccache)
if(SYMBIONT_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
      "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${SYMBIONT_CCACHE}")
  endforeach()
endif()

option(SYMBIONT_WERROR "Treat warnings as errors" OFF)
set(SYMBIONT_SANITIZE "" CACHE STRING "Sanitizers for every target: address,undefined or thread")

add_library(symbiont_options INTERFACE)
target_include_directories(symbiont_options INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>")
target_compile_options(symbiont_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-align -Wcast-qual -Wformat=2 -Wimplicit-fallthrough -Wextra-semi -Wundef
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wlogical-op -Wuseless-cast>
  # libstdc++'s own headers use what it has deprecated, in code that clang takes for ours; g++ looks at ours.
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety -Wno-deprecated-declarations>
  $<$<BOOL:${SYMBIONT_WERROR}>:-Werror>)
if(SYMBIONT_SANITIZE)
  target_compile_options(symbiont_options INTERFACE
    -fsanitize=${SYMBIONT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(symbiont_options INTERFACE -fsanitize=${SYMBIONT_SANITIZE})
else()
  target_compile_options(symbiont_options INTERFACE
    -fstack-protector-strong -fstack-clash-protection
    $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection> -ftrivial-auto-var-init=zero
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3> -D_GLIBCXX_ASSERTIONS)
  target_link_options(symbiont_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
