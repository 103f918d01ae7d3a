# Defines the INTERFACE target `LibTorch`.
#
# find_package(Torch) is not used: it replaces protobuf::libprotobuf by an empty target, and its include folder carries
# its own fmt/ and google/protobuf/, which would shadow the system's. Linking by path and searching its headers last
# (-idirafter) lets LibTorch, gRPC, Protobuf and spdlog live in one process.

if(NOT TANDEM_LIBTORCH AND DEFINED ENV{TANDEM_LIBTORCH})
  set(TANDEM_LIBTORCH "$ENV{TANDEM_LIBTORCH}")
endif()
if(NOT TANDEM_LIBTORCH)
  file(GLOB _torch_in_venv "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(LENGTH _torch_in_venv _count)
  if(_count GREATER 0)
    list(GET _torch_in_venv 0 TANDEM_LIBTORCH)
  endif()
endif()
set(TANDEM_LIBTORCH "${TANDEM_LIBTORCH}" CACHE PATH "A LibTorch folder: the one with include/ and lib/ in it")

if(NOT EXISTS "${TANDEM_LIBTORCH}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "No LibTorch at '${TANDEM_LIBTORCH}' (looked for lib/libtorch_cpu.so). "
                      "Run scripts/bootstrap.sh, or set TANDEM_LIBTORCH to a LibTorch folder.")
endif()

add_library(LibTorch INTERFACE)
# Classes of its headers (at::RecordFunction) have another layout without NDEBUG, which it was built with.
# Its headers include the operators that they call, not all there are (model/aten.h).
target_compile_definitions(LibTorch INTERFACE NDEBUG AT_PER_OPERATOR_HEADERS)
target_compile_options(LibTorch INTERFACE
  "SHELL:-idirafter ${TANDEM_LIBTORCH}/include"
  "SHELL:-idirafter ${TANDEM_LIBTORCH}/include/torch/csrc/api/include")
target_link_libraries(LibTorch INTERFACE
  "${TANDEM_LIBTORCH}/lib/libtorch.so" "${TANDEM_LIBTORCH}/lib/libtorch_cpu.so" "${TANDEM_LIBTORCH}/lib/libc10.so")
# Our own OpenMP loops must share LibTorch's runtime: exactly one libgomp may be mapped into the process.
file(GLOB _torch_gomp "${TANDEM_LIBTORCH}/lib/libgomp*.so*")
if(_torch_gomp)
  list(GET _torch_gomp 0 TANDEM_OPENMP_RUNTIME)
  target_link_libraries(LibTorch INTERFACE "${TANDEM_OPENMP_RUNTIME}")
endif()
target_link_options(LibTorch INTERFACE "-Wl,-rpath,${TANDEM_LIBTORCH}/lib")
