# Compiler options and the libraries every module may use. Warnings are errors in our own code only.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(pugixml REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(date REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

add_library(hf_options INTERFACE)
target_include_directories(hf_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(hf_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Wimplicit-fallthrough -Wno-missing-field-initializers -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(hf_options INTERFACE -Wthread-safety)
endif()

set(HOLDFAST_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")
if(HOLDFAST_SANITIZE)
  add_compile_options(-fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The checks that sanitizers add to libstdc++'s <regex> set it off without reason (gcc bug 105562).
    target_compile_options(hf_options INTERFACE -Wno-maybe-uninitialized)
  endif()
  add_link_options(-fsanitize=${HOLDFAST_SANITIZE})
endif()

# The presets of the sanitizers compile several sources as one (CMAKE_UNITY_BUILD), which halves the
# time that their builds take. Names in the anonymous namespaces of one module must differ for that.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 10)
if(CMAKE_UNITY_BUILD)
  # Both would be about another file then; the other presets know better.
  target_compile_options(hf_options INTERFACE -Wno-shadow
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
