# Sources of one target are compiled many at a time, so that LibTorch's headers (15 s) are read once for all of them; a
# precompiled header does not help, since GCC instantiates what it leaves pending in every file that uses it. Names in
# anonymous namespaces are therefore unique within a folder. -DTANDEM_UNITY=OFF suits work on single files.
option(TANDEM_UNITY "Compile the sources of a target several at a time" ON)
function(tandem_unity target)
  if(TANDEM_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
  endif()
endfunction()

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
  endif()
  tandem_unity(tandem_${name})
endfunction()

# tandem_test(FOLDER [REAL_MODEL] [SHARDS n] DEPS target...): FOLDER_test, one executable of all *_test.cc beside the caller, mirroring
# FOLDER. All its cases are one ctest entry labelled `fast` (LibTorch takes a quarter of a second to load); with REAL_MODEL,
# cases whose suite name ends in `RealModel` need data/ and are a second one labelled `slow`. SHARDS makes n entries of the
# fast ones, for several cores.
function(tandem_test name)
  cmake_parse_arguments(ARG "REAL_MODEL" "SHARDS" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  add_executable(${name}_test ${sources})
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPS} tandem_options GTest::gmock_main)
  target_include_directories(${name}_test PRIVATE "${CMAKE_SOURCE_DIR}")
  target_compile_definitions(${name}_test PRIVATE TANDEM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  # What is tested is optimised, the tests need not be: they compile in two thirds of the time.
  target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
  tandem_unity(${name}_test)
  if(ARG_SHARDS)
    foreach(shard RANGE 1 ${ARG_SHARDS})
      tandem_add_cases(${name}.${shard} ${name}_test fast "-*RealModel*")
      math(EXPR index "${shard} - 1")
      set_tests_properties(${name}.${shard} PROPERTIES
        ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${index}")
    endforeach()
  else()
    tandem_add_cases(${name} ${name}_test fast "-*RealModel*")
  endif()
  if(ARG_REAL_MODEL)
    tandem_add_cases(${name}_real_model ${name}_test slow "*RealModel*")
  endif()
endfunction()

# tandem_add_cases(ENTRY EXECUTABLE LABEL FILTER): the cases that FILTER takes as one ctest entry.
function(tandem_add_cases entry executable label filter)
  add_test(NAME ${entry} COMMAND ${executable} --gtest_filter=${filter} --gtest_shuffle
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  # The longest first: cli waits for processes, model cuts files at every place.
  set_tests_properties(${entry} PROPERTIES LABELS ${label} TIMEOUT 900 COST $<IF:$<STREQUAL:${executable},cli_test>,2,$<STREQUAL:${entry},model>>)
endfunction()

# tandem_protobuf(FOLDER NAME [GRPC]): adds what protoc makes of FOLDER/NAME.proto to tandem_FOLDER, which includes it as
# "FOLDER/NAME.pb.h"; with GRPC the services, too.
function(tandem_protobuf folder name)
  cmake_parse_arguments(ARG "GRPC" "" "" ${ARGN})
  set(generated_dir "${CMAKE_BINARY_DIR}/generated")
  set(stem "${generated_dir}/${folder}/${name}")
  set(outputs "${stem}.pb.cc" "${stem}.pb.h")
  set(plugins)
  if(ARG_GRPC)
    find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
    list(APPEND outputs "${stem}.grpc.pb.cc" "${stem}.grpc.pb.h")
    set(plugins --grpc_out=${generated_dir} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
  endif()
  add_custom_command(OUTPUT ${outputs}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${generated_dir}
    COMMAND protobuf::protoc -I ${CMAKE_SOURCE_DIR} --cpp_out=${generated_dir} ${plugins} ${folder}/${name}.proto
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.proto WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)
  target_sources(tandem_${folder} PRIVATE ${outputs})
  set_source_files_properties(${outputs} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_include_directories(tandem_${folder} SYSTEM PUBLIC ${generated_dir})
endfunction()
