// Memory that the processes of one machine share. It lies in no file system: nothing is left behind
// by a process that dies, and the size of /dev/shm sets no limit.
#ifndef FLAME_COMM_SHARED_MEMORY_H_
#define FLAME_COMM_SHARED_MEMORY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace flame {

// uint8 [size], zeros, for this process to write. MachineError where the system gives none.
at::Tensor MakeShared(int64_t size);
// What another process of the machine, or this one, maps the memory of a tensor of MakeShared by
// while the tensor lives; "" for any other tensor.
std::string SharedNameOf(const at::Tensor& tensor);
// The same memory, to read only: a write ends the process. It outlives the tensor that was named.
// MachineError with the cause where there is no such memory of `size` bytes for this process, as on
// another machine or in a container of its own.
at::Tensor MapShared(const std::string& name, int64_t size);

}  // namespace flame

#endif  // FLAME_COMM_SHARED_MEMORY_H_
