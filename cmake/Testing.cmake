# Tests: Criterion programs under ctest, one per source folder and subject.
pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion>=2.4)

if(NOT TARGET grpc_c)
  message(FATAL_ERROR "the tests need libgrpc-dev (./dev packages test)")
endif()

# criterion_test(name LABELS unit SOURCES test_x.c … LIBS forkless_base …)
function(criterion_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "LABELS;SOURCES;LIBS" ${ARGN})
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE forkless_flags ${T_LIBS} PkgConfig::CRITERION)
  add_test(NAME ${name} COMMAND ${name} --timeout ${T_TIMEOUT})
  # A sanitizer report does not fail a Criterion test by itself.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}"
    FAIL_REGULAR_EXPRESSION "Sanitizer|runtime error:")
endfunction()

# fuzz_target(name SOURCES … LIBS … CORPUS dir): built in the fuzz preset, run for a few seconds by ctest.
function(fuzz_target name)
  cmake_parse_arguments(T "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE forkless_flags ${T_LIBS})
  target_compile_options(${name} PRIVATE -Wno-missing-prototypes) # libFuzzer has no header
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_test(NAME ${name} COMMAND ${name} -max_total_time=10 -timeout=10 -rss_limit_mb=2048
           -print_final_stats=1 ${CMAKE_CURRENT_BINARY_DIR}/${name}.found ${T_CORPUS})
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${name}.found)
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 60)
endfunction()

# python_test(name SCRIPT test_x.py ARGS …): a script run by the Python that has the pinned peers
# (tests/interop/requirements.txt). Skipped where there is none; ./dev test always has one.
function(python_test name)
  cmake_parse_arguments(T "" "SCRIPT;TIMEOUT" "LABELS;ARGS" ${ARGN})
  if(NOT T_LABELS)
    set(T_LABELS integration)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/lib/python
           ${CMAKE_CURRENT_SOURCE_DIR}/${T_SCRIPT} ${T_ARGS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}"
    SKIP_RETURN_CODE 77)
endfunction()
