# cmake --install BUILD --prefix PREFIX: the program as base/files/program_files.h expects it. Libraries
# stay where the build found them; scripts/package makes a folder that needs none of them.
install(TARGETS flame RUNTIME DESTINATION bin)
install(TARGETS flame_compute flame_data_program RUNTIME DESTINATION lib/flame)
if(TARGET flame_cuda)
  install(TARGETS flame_cuda LIBRARY DESTINATION lib/flame COMPONENT cuda)
endif()
if(TARGET flame_molecules)
  install(TARGETS flame_molecules LIBRARY DESTINATION lib/flame)
endif()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs/ DESTINATION share/flame/configs)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/slurm/ DESTINATION share/flame/slurm
  PATTERN testbed EXCLUDE)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/data/synth/hospital/ DESTINATION share/flame/synth)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION share/doc/flame)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/CHANGELOG.md
  DESTINATION share/doc/flame/project)
