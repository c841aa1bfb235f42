// The main of MPI test programs, run as `mpirun -np N PROGRAM --ranks=N`. It fails if the number of
// ranks is not N, no test ran or a test failed on any rank. Rank 0 prints everything, the others
// only failures.
#ifndef FLAME_TESTS_COMM_MPI_MPI_TEST_MAIN_H_
#define FLAME_TESTS_COMM_MPI_MPI_TEST_MAIN_H_

#include "comm/communicator.h"

namespace flame {

// Returns the communicator of all ranks of this test program.
Communicator& TestWorld();

}  // namespace flame

#endif  // FLAME_TESTS_COMM_MPI_MPI_TEST_MAIN_H_
