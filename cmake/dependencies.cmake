# Every library the program links, as an imported target or a variable of find_package.

find_package(MPI REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(yaml-cpp REQUIRED)
find_package(Boost REQUIRED COMPONENTS program_options)
find_package(glog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# find_package(Torch) of the CUDA wheel runs nvcc; the program links the CPU half only.
set(torch_dir ${FLAME_WHEELS}/torch)
add_library(torch_cpu INTERFACE)
target_include_directories(torch_cpu SYSTEM INTERFACE
  ${torch_dir}/include ${torch_dir}/include/torch/csrc/api/include)
target_compile_definitions(torch_cpu INTERFACE AT_PER_OPERATOR_HEADERS)
target_link_libraries(torch_cpu INTERFACE
  -Wl,--no-as-needed ${torch_dir}/lib/libtorch_cpu.so ${torch_dir}/lib/libc10.so -Wl,--as-needed)
target_link_options(torch_cpu INTERFACE
  -Wl,-rpath,${torch_dir}/lib
  -Wl,-rpath-link,${FLAME_WHEELS}/nvidia/cu13/lib)

file(GLOB arrow_library ${FLAME_WHEELS}/pyarrow/libarrow.so.*)
add_library(arrow INTERFACE)
target_include_directories(arrow SYSTEM INTERFACE ${FLAME_WHEELS}/pyarrow/include)
target_link_libraries(arrow INTERFACE ${arrow_library})
target_link_options(arrow INTERFACE -Wl,-rpath,${FLAME_WHEELS}/pyarrow)

add_library(hdf5_c INTERFACE)
target_include_directories(hdf5_c SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(hdf5_c INTERFACE ${HDF5_C_LIBRARIES})

add_library(mpi_c INTERFACE)
target_link_libraries(mpi_c INTERFACE MPI::MPI_C)
# Open MPI's C++ bindings are not linked.
target_compile_definitions(mpi_c INTERFACE OMPI_SKIP_MPICXX)
