# tandem_library(NAME [TORCH] DEPS target...): the library tandem_NAME of all .cc files beside the caller's
# CMakeLists.txt. The link graph is the layering check, so DEPS names every folder that this one may include.
function(tandem_library name)
  cmake_parse_arguments(ARG "TORCH" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  add_library(tandem_${name} STATIC ${sources})
  target_include_directories(tandem_${name} PUBLIC "${CMAKE_SOURCE_DIR}")
  target_link_libraries(tandem_${name} PUBLIC tandem_options ${ARG_DEPS})
  if(ARG_TORCH)
    target_link_libraries(tandem_${name} PUBLIC LibTorch)
    tandem_precompile_torch(tandem_${name})
  endif()
endfunction()

# LibTorch's headers take 15 s a file; each Torch target parses them once. The autograd headers stay out: GCC instantiates
# what a precompiled header leaves pending in every file, and theirs is 2 s each that only a few files need.
function(tandem_precompile_torch target)
  target_precompile_headers(${target} PRIVATE <ATen/ATen.h> <map> <memory> <string> <vector>)
endfunction()

# tandem_test(FOLDER [TORCH] DEPS target...): FOLDER_test, one executable of all *_test.cc beside the caller, mirroring FOLDER.
# Test cases whose suite name ends in `RealModel` need data/ and carry the label `slow`; all others are `fast`.
function(tandem_test name)
  cmake_parse_arguments(ARG "TORCH" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPS} tandem_options GTest::gmock_main)
  target_include_directories(${name}_test PRIVATE "${CMAKE_SOURCE_DIR}")
  target_compile_definitions(${name}_test PRIVATE TANDEM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  # What is tested is optimised, the tests need not be: they compile in two thirds of the time.
  target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
  if(ARG_TORCH)
    tandem_precompile_torch(${name}_test)
  endif()
  gtest_discover_tests(${name}_test WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" DISCOVERY_TIMEOUT 60
    TEST_FILTER "-*RealModel*" PROPERTIES LABELS fast TIMEOUT 900)
  gtest_discover_tests(${name}_test WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" DISCOVERY_TIMEOUT 60
    TEST_FILTER "*RealModel*" TEST_LIST ${name}_slow PROPERTIES LABELS slow TIMEOUT 900)
endfunction()
