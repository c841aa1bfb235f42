# Tests that run on several MPI ranks: tests/FOLDER/mpi/*_test.cpp, one program FOLDER_mpi_test run
# on 2 and on 4 ranks. Its main is tests/comm/mpi/mpi_test_main.cpp.

# One machine, no network, more ranks than cores, also as root in a container.
set(FLAME_MPIRUN ${MPIEXEC_EXECUTABLE} --allow-run-as-root --oversubscribe
  --mca plm isolated --mca pml ob1 --mca btl self,vader --mca btl_vader_single_copy_mechanism none
  --mca btl_base_warn_component_unused 0 --mca mpi_yield_when_idle 1 --mca oob_tcp_if_include lo)

add_library(flame_mpi_test_main STATIC EXCLUDE_FROM_ALL
  ${CMAKE_SOURCE_DIR}/tests/comm/mpi/mpi_test_main.cpp)
target_link_libraries(flame_mpi_test_main PUBLIC flame_comm GTest::gtest GTest::gmock)

# flame_mpi_test(FOLDER DEPENDS ... [SOURCES ...]): SOURCES are further files of the program.
function(flame_mpi_test folder)
  cmake_parse_arguments(arg "" "" "DEPENDS;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/mpi/*_test.cpp)
  add_executable(${folder}_mpi_test ${sources} ${arg_SOURCES})
  target_link_libraries(${folder}_mpi_test PRIVATE flame_mpi_test_main ${arg_DEPENDS})
  target_include_directories(${folder}_mpi_test PRIVATE ${CMAKE_BINARY_DIR}/tests)
  foreach(ranks 2 4)
    set(name ${folder}_mpi_${ranks}_ranks)
    add_test(NAME ${name}
      COMMAND ${FLAME_MPIRUN} -np ${ranks} $<TARGET_FILE:${folder}_mpi_test> --ranks=${ranks})
    set_tests_properties(${name} PROPERTIES
      TIMEOUT 600 PROCESSORS ${ranks} ENVIRONMENT "OMP_NUM_THREADS=1")
  endforeach()
endfunction()

flame_mpi_test(launch DEPENDS flame_launch)
flame_mpi_test(comm DEPENDS flame_comm
  SOURCES ${CMAKE_SOURCE_DIR}/tests/comm/conformance_test.cpp)

# Jobs that go wrong on purpose, started by the test.
add_executable(comm_mpi_fault ${CMAKE_SOURCE_DIR}/tests/comm/mpi/fault.cpp)
target_link_libraries(comm_mpi_fault PRIVATE flame_comm)
add_executable(comm_fault_test ${CMAKE_SOURCE_DIR}/tests/comm/mpi/fault_jobs.cpp)
target_link_libraries(comm_fault_test PRIVATE
  flame_base nlohmann_json::nlohmann_json GTest::gtest GTest::gmock GTest::gtest_main)
list(JOIN FLAME_MPIRUN " " mpirun_line)
target_compile_definitions(comm_fault_test PRIVATE
  FLAME_MPIRUN="${mpirun_line}" FLAME_FAULT_PROGRAM="$<TARGET_FILE:comm_mpi_fault>")
add_dependencies(comm_fault_test comm_mpi_fault)
add_test(NAME comm_faults COMMAND comm_fault_test)
set_tests_properties(comm_faults PROPERTIES TIMEOUT 600)
