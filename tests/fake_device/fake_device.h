// A device whose memory the host cannot read: PyTorch's PrivateUse1 with pages that are protected
// except while an operator works on them. Code that reads or writes such a tensor through its
// pointer ends the test program with SIGSEGV. An operator that gets tensors of two devices (other
// than CPU scalars, as on CUDA) throws. Operators compute on the CPU; CUDA's variable-length
// attention is implemented in dense form. The device shows that code keeps to a device's rules, not
// that CUDA computes the same.
#ifndef FLAME_TESTS_FAKE_DEVICE_FAKE_DEVICE_H_
#define FLAME_TESTS_FAKE_DEVICE_FAKE_DEVICE_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/kernels/step_recorder.h"

namespace flame {

c10::Device FakeDevice();

// Counts of requests to the device since the program began.
struct FakeDeviceCounts {
  int64_t to_device = 0;  // copies from the host
  int64_t to_host = 0;    // copies to the host
  int64_t scalars = 0;    // item() and the like
  int64_t operators = 0;  // all other operators
};
FakeDeviceCounts CountOfFakeDevice();

// Returns the operators that `body` runs on the device: name, every tensor's shape and, unless it
// was made in `body`, its address, and every other argument.
std::vector<std::string> TraceOnFakeDevice(const std::function<void()>& body);

// Checks that a body can be recorded. Throws std::logic_error if the body copies between host and
// device or reads a scalar, or if a replay, which runs it again, does other work than was recorded.
// Adds each replay to `*replays`.
std::unique_ptr<StepRecorder> MakeStrictRecorder(int64_t* replays);

}  // namespace flame

#endif  // FLAME_TESTS_FAKE_DEVICE_FAKE_DEVICE_H_
