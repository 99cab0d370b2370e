# Warnings and sanitizers for our own sources: link `forkless_flags` PRIVATE into every target.
option(FORKLESS_WERROR "Treat warnings as errors" OFF)
set(FORKLESS_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, e.g. address,undefined")
option(FORKLESS_FUZZ "Build the libFuzzer targets (clang)" OFF)

add_library(forkless_flags INTERFACE)
target_include_directories(forkless_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(forkless_flags INTERFACE _GNU_SOURCE)
target_compile_options(forkless_flags INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wundef -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes
  -fno-common)
# Criterion's macros trip these, so tests link forkless_flags alone.
add_library(forkless_strict INTERFACE)
target_link_libraries(forkless_strict INTERFACE forkless_flags)
target_compile_options(forkless_strict INTERFACE -Wconversion -Wwrite-strings)

if(FORKLESS_WERROR)
  target_compile_options(forkless_flags INTERFACE -Werror)
endif()
if(FORKLESS_SANITIZE)
  add_compile_options(-fsanitize=${FORKLESS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FORKLESS_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized) # gcc sees false ones in instrumented code
  endif()
endif()
if(FORKLESS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT FORKLESS_SANITIZE AND NOT FORKLESS_FUZZ)
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
# Asserts guard against our own mistakes and stay on in release.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

# forkless_library(name sources...): one static library per room. Position-independent and hidden, because
# storage modules carry a copy of what they use.
function(forkless_library name)
  add_library(${name} STATIC ${ARGN})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
  target_link_libraries(${name} PRIVATE forkless_strict)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()
