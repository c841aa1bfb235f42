# libflame_molecules.so: SMILES to graphs by RDKit. It is opened when molecules are read, so that nothing
# else pays for it, and is left out where RDKit is missing.
find_path(rdkit_include GraphMol/SmilesParse/SmilesParse.h PATH_SUFFIXES rdkit)
set(rdkit_libraries "")
foreach(part SmilesParse GraphMol RDGeneral)
  find_library(rdkit_${part} RDKit${part})
  list(APPEND rdkit_libraries ${rdkit_${part}})
endforeach()
if(NOT rdkit_include OR rdkit_libraries MATCHES "NOTFOUND")
  message(STATUS "no RDKit (librdkit-dev): built without molecules")
  return()
endif()

file(GLOB molecule_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/encoders/molecule/rdkit/*.cpp)
add_library(flame_molecules MODULE ${molecule_sources})
target_include_directories(flame_molecules PRIVATE ${CMAKE_SOURCE_DIR})
target_include_directories(flame_molecules SYSTEM PRIVATE ${rdkit_include})
target_link_libraries(flame_molecules PRIVATE ${rdkit_libraries})
set_target_properties(flame_molecules PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/flame)
