# The version comes from git (v0.1.0-3-gabc1234), else from the fallback below.
set(HOLDFAST_VERSION "0.1.0")
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(
    COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} describe --always --dirty --abbrev=8
    OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    string(APPEND HOLDFAST_VERSION "+${revision}")
  endif()
endif()
configure_file(${CMAKE_SOURCE_DIR}/cmake/version_from_git.h.in
               ${CMAKE_BINARY_DIR}/generated/version_from_git.h @ONLY)
# Only the one file that uses it is compiled with this folder, so that a new commit, or another build
# folder, recompiles nothing else.
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/app/version.cpp PROPERTIES
  INCLUDE_DIRECTORIES ${CMAKE_BINARY_DIR}/generated)
