# libflame_cuda.so, what needs CUDA: built from the wheels' headers and libraries, without a CUDA
# toolkit, where NCCL and the CUDA runtime are among the wheels. Its flame:: symbols are left to the
# program that opens it.
set(nccl_dir ${FLAME_WHEELS}/nvidia/nccl)
set(cuda_dir ${FLAME_WHEELS}/nvidia/cu13)
if(NOT EXISTS ${nccl_dir}/include/nccl.h OR NOT EXISTS ${cuda_dir}/include/cuda_runtime.h
   OR NOT EXISTS ${cuda_dir}/include/crt/host_config.h
   OR NOT EXISTS ${cuda_dir}/include/nv/target)
  message(STATUS "no NCCL or CUDA runtime in ${FLAME_WHEELS}/nvidia: built without GPU support")
  return()
endif()

file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/comm/nccl/*.cpp
  ${CMAKE_SOURCE_DIR}/model/kernels/cuda/*.cpp)
add_library(flame_cuda MODULE ${cuda_sources})
target_include_directories(flame_cuda PRIVATE ${CMAKE_SOURCE_DIR})
target_include_directories(flame_cuda SYSTEM PRIVATE ${nccl_dir}/include ${cuda_dir}/include)
target_link_libraries(flame_cuda PRIVATE torch_cpu -Wl,--no-as-needed
  ${torch_dir}/lib/libtorch_cuda.so ${torch_dir}/lib/libc10_cuda.so
  ${nccl_dir}/lib/libnccl.so.2 ${cuda_dir}/lib/libcudart.so.13)
set_target_properties(flame_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/flame)
# libtorch_cuda's own needs (cuBLAS, cuDNN ...) are the business of the machine with the GPU.
target_link_options(flame_cuda PRIVATE -Wl,--unresolved-symbols=ignore-in-shared-libs
  -Wl,-rpath,${nccl_dir}/lib -Wl,-rpath,${cuda_dir}/lib)
