// Memory that the processes of one machine share. It lies in no file system, so a process that dies
// leaves nothing behind and the size of /dev/shm sets no limit.
#ifndef FLAME_COMM_SHARED_MEMORY_H_
#define FLAME_COMM_SHARED_MEMORY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace flame {

// Returns uint8 [size], zeros, which this process may write. Throws MachineError if the system
// gives no such memory.
at::Tensor MakeShared(int64_t size);
// Returns the name by which any process of this machine can map the memory of a tensor made by
// MakeShared, while that tensor lives. Returns "" for any other tensor.
std::string SharedNameOf(const at::Tensor& tensor);
// Maps the named memory read-only: a write ends the process. The mapping outlives the tensor that
// was named. Throws MachineError with the cause if this process can reach no such memory of `size`
// bytes, as on another machine or in a container of its own.
at::Tensor MapShared(const std::string& name, int64_t size);

}  // namespace flame

#endif  // FLAME_COMM_SHARED_MEMORY_H_
