#include "launch/cli/version.h"

#include <H5public.h>
#include <mpi.h>
#include <torch/headeronly/version.h>

#include "base/error.h"

// Set by launch/CMakeLists.txt: FLAME_VERSION, FLAME_BUILD_TYPE, and FLAME_NCCL_VERSION, which is
// "" where the GPU module is not built.

namespace flame {

std::string VersionText() {
  const std::string nccl = FLAME_NCCL_VERSION;
  return StrCat("flame ", FLAME_VERSION, "\n", "build      ", FLAME_BUILD_TYPE, ", g++ ",
                __VERSION__, "\n", "libtorch   ", TORCH_VERSION, "\n", "Open MPI   ",
                OMPI_MAJOR_VERSION, ".", OMPI_MINOR_VERSION, ".", OMPI_RELEASE_VERSION, "\n",
                "HDF5       ", H5_VERS_MAJOR, ".", H5_VERS_MINOR, ".", H5_VERS_RELEASE, "\n",
                "NCCL       ", nccl.empty() ? "none: built without the GPU module" : nccl, "\n");
}

}  // namespace flame
