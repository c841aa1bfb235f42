# The NCCL communicator over a table of faults, on CPU tensors: headers only, no CUDA library.
add_executable(comm_nccl_test ${CMAKE_SOURCE_DIR}/tests/comm/nccl/nccl_communicator_test.cpp
  ${CMAKE_SOURCE_DIR}/comm/nccl/nccl_communicator.cpp ${CMAKE_SOURCE_DIR}/comm/nccl/nccl_state.cpp)
target_include_directories(comm_nccl_test SYSTEM PRIVATE
  ${nccl_dir}/include ${cuda_dir}/include)
target_link_libraries(comm_nccl_test PRIVATE flame_comm GTest::gtest GTest::gmock GTest::gtest_main)
add_test(NAME comm_nccl COMMAND comm_nccl_test)
set_tests_properties(comm_nccl PROPERTIES TIMEOUT 600)
