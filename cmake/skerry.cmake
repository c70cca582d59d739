# How every target of the project is declared, so that flags live in one place.

# Without sanitizers: for what is loaded into other people's programs.
add_library(skerry_plain_flags INTERFACE)
target_compile_options(skerry_plain_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wno-missing-field-initializers)
target_include_directories(skerry_plain_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)

add_library(skerry_flags INTERFACE)
target_link_libraries(skerry_flags INTERFACE skerry_plain_flags)
if(SKERRY_SANITIZE)
  target_compile_options(skerry_flags INTERFACE -fsanitize=${SKERRY_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(skerry_flags INTERFACE -fsanitize=${SKERRY_SANITIZE})
endif()
# The libraries tell the fuzzer which of their branches an input took; the harness alone would tell it nothing.
if(SKERRY_FUZZ)
  target_compile_options(skerry_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# skerry_library(NAME [SOURCES...]): the library of one folder of src/. Link what it stands on with
# target_link_libraries(NAME PUBLIC ...). Header-only folders give no sources.
function(skerry_library name)
  if(ARGN)
    add_library(skerry_${name} STATIC ${ARGN})
    target_link_libraries(skerry_${name} PUBLIC skerry_flags)
  else()
    add_library(skerry_${name} INTERFACE)
    target_link_libraries(skerry_${name} INTERFACE skerry_flags)
  endif()
endfunction()

# skerry_together(TARGETS...): sources whose headers cost the compiler far more than their own lines are compiled eight at a
# time, where SKERRY_TOGETHER says so: the headers are then read once for all eight. Names in their unnamed namespaces must
# differ: APART SOURCES... are compiled by themselves. Without it all are, so a missing include shows there.
function(skerry_together)
  cmake_parse_arguments(G "" "" "APART" ${ARGN})
  if(SKERRY_TOGETHER)
    set_target_properties(${G_UNPARSED_ARGUMENTS} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    set_source_files_properties(${G_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# skerry_simulated(TARGETS...): what simulations and models run for minutes is optimised a little in the sanitizer's build too,
# whose other targets are not, because they are quicker to build so.
function(skerry_simulated)
  foreach(target ${ARGN})
    target_compile_options(${target} PRIVATE $<$<CONFIG:Debug>:-O1>)
  endforeach()
endfunction()

# skerry_test(NAME SOURCES... LIBS libs...): one GoogleTest binary, build/tests/NAME, known to ctest.
function(skerry_test name)
  cmake_parse_arguments(T "" "" "LIBS" ${ARGN})
  add_executable(${name} ${T_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE skerry_flags ${T_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST)
endfunction()

# skerry_fuzz(NAME SOURCES... LIBS libs...): one libFuzzer binary, build/fuzz/NAME; corpus in fuzz/corpus/NAME.
function(skerry_fuzz name)
  cmake_parse_arguments(F "" "" "LIBS" ${ARGN})
  add_executable(${name} ${F_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE skerry_flags ${F_LIBS})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()
