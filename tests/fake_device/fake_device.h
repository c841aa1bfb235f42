// A device whose memory the host can not read: PyTorch's PrivateUse1 with pages that are protected
// but while an operator works on them. Code that reads or writes such a tensor through its pointer
// ends the test program with SIGSEGV; an operator that is given tensors of two devices (but for
// CPU scalars, as on CUDA) throws. Operators compute on the CPU; the variable-length attention of
// CUDA is there in dense form. It shows that code keeps to a device's rules, not that CUDA computes
// the same.
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

// What the device was asked for since the program began.
struct FakeDeviceCounts {
  int64_t to_device = 0;  // copies from the host
  int64_t to_host = 0;    // copies to it
  int64_t scalars = 0;    // item() and the like
  int64_t operators = 0;  // all others
};
FakeDeviceCounts CountOfFakeDevice();

// The operators that `body` runs on the device: name, and for each tensor its shape and, unless it
// was made in `body`, its address; and every other argument.
std::vector<std::string> TraceOnFakeDevice(const std::function<void()>& body);

// Holds a body to what a recording needs: throws std::logic_error where it copies between host and
// device or reads a scalar, and where a replay, which runs it again, does other work than what was
// recorded. `replays` counts.
std::unique_ptr<StepRecorder> MakeStrictRecorder(int64_t* replays);

}  // namespace flame

#endif  // FLAME_TESTS_FAKE_DEVICE_FAKE_DEVICE_H_
