# flame_layer(NAME DEPENDS ...): the static library flame_NAME of the .cpp files in this folder and its
# rooms, but for main.cpp and what cmake/cuda_module.cmake builds.
function(flame_layer name)
  cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "main\\.cpp$|/(nccl|cuda|rdkit)/")
  add_library(flame_${name} STATIC ${sources})
  target_include_directories(flame_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(flame_${name} PUBLIC ${arg_DEPENDS})
endfunction()

# flame_opens_cuda(TARGET): a program over flame_launch that libflame_cuda.so finds its flame:: symbols
# in when it is opened.
function(flame_opens_cuda target)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
  target_link_options(${target} PRIVATE
    LINKER:--whole-archive,$<TARGET_FILE:flame_comm>,--no-whole-archive)
endfunction()

# flame_test(FOLDER DEPENDS ...): one GoogleTest program FOLDER_test of the *_test.cpp under tests/FOLDER.
# Tests under tests/FOLDER/mpi/ are for flame_mpi_test.
function(flame_test folder)
  cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*_test.cpp)
  list(FILTER sources EXCLUDE REGEX "/(mpi|nccl)/")
  if(NOT sources)
    return()
  endif()
  add_executable(${folder}_test ${sources})
  target_link_libraries(${folder}_test PRIVATE ${arg_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_include_directories(${folder}_test PRIVATE ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${folder} COMMAND ${folder}_test)
  # One thread: small tensors, and the bits do not depend on the machine.
  set_tests_properties(${folder} PROPERTIES TIMEOUT 600 ENVIRONMENT OMP_NUM_THREADS=1)
endfunction()
