# libsymbiont: the folders of src/ that the public API stands on, in one shared library whose interface is include/symbiont alone.
# Nothing of the third-party libraries shows in it, so that a consumer needs neither their headers nor their CMake packages.
set(folders "")
foreach(folder base gguf config catalog access ipc sandbox runners observe engine)
  if(TARGET symbiont_${folder})
    list(APPEND folders symbiont_${folder})
  endif()
endforeach()

add_library(symbiont_shared SHARED)
add_library(symbiont::symbiont ALIAS symbiont_shared)
foreach(folder ${folders})
  target_sources(symbiont_shared PRIVATE "$<TARGET_OBJECTS:${folder}>")
endforeach()
target_link_libraries(symbiont_shared PRIVATE symbiont_options ${folders} Threads::Threads)
target_include_directories(symbiont_shared INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(symbiont_shared INTERFACE cxx_std_23)
set_target_properties(symbiont_shared PROPERTIES
  LINKER_LANGUAGE CXX OUTPUT_NAME symbiont EXPORT_NAME symbiont
  VERSION "${PROJECT_VERSION}" SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/symbiont")
install(TARGETS symbiont_shared EXPORT symbiontTargets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/symbiont" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h")
install(EXPORT symbiontTargets NAMESPACE symbiont:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/symbiontConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/symbiontConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/symbiontConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/symbiontConfig.cmake" "${PROJECT_BINARY_DIR}/symbiontConfigVersion.cmake"
  DESTINATION "${package_dir}")

# The prefix in the pkg-config file is relative to the file itself: the installed tree may be moved.
file(RELATIVE_PATH SYMBIONT_PC_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/symbiont.pc.in" "${PROJECT_BINARY_DIR}/symbiont.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/symbiont.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# Where a program that was started from elsewhere looks for the launcher and the worker.
if(TARGET symbiont_sandbox)
  target_compile_definitions(symbiont_sandbox PRIVATE "SYMBIONT_INSTALL_BINDIR=\"${CMAKE_INSTALL_FULL_BINDIR}\"")
endif()
