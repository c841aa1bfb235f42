#include "comm/shared_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace flame {
namespace {

using ::testing::HasSubstr;

std::string FaultOfMapping(const std::string& name, int64_t size) {
  try {
    MapShared(name, size);
  } catch (const MachineError& error) {
    return error.what();
  }
  return "no MachineError";
}

int64_t NumDescriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd"), end;
  return std::distance(open, end);
}

TEST(SharedMemory, AnotherProcess_ReadsWhatIsWrittenAfterItsMapping) {
  const at::Tensor memory = MakeShared(9000);
  const std::string name = SharedNameOf(memory);
  int mapped[2], written[2];
  ASSERT_EQ(pipe(mapped) + pipe(written), 0);
  const pid_t child = fork();
  if (child == 0) {
    // The child uses its own mapping, not the memory that it inherits.
    const at::Tensor there = MapShared(name, 9000);
    const uint8_t* bytes = there.const_data_ptr<uint8_t>();
    char go = 0;
    const bool zeros = std::all_of(bytes, bytes + 9000, [](uint8_t byte) { return byte == 0; });
    if (write(mapped[1], "m", 1) != 1 || read(written[0], &go, 1) != 1) _exit(3);
    _exit(!zeros ? 1 : bytes[8999] != 77 ? 2 : 0);
  }
  char ready = 0;
  ASSERT_EQ(read(mapped[0], &ready, 1), 1);
  memory.mutable_data_ptr<uint8_t>()[8999] = 77;
  ASSERT_EQ(write(written[1], "w", 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
  for (const int end : {mapped[0], mapped[1], written[0], written[1]}) close(end);
}

TEST(SharedMemory, Mapping_OutlivesTheTensorThatWasNamed) {
  at::Tensor memory = MakeShared(100);
  memory.fill_(5);
  const at::Tensor mapped = MapShared(SharedNameOf(memory), 100);
  memory.reset();
  EXPECT_EQ(mapped.const_data_ptr<uint8_t>()[99], 5);
}

TEST(SharedMemoryDeathTest, Mapping_IsToReadOnly) {
  const at::Tensor memory = MakeShared(100);
  const at::Tensor mapped = MapShared(SharedNameOf(memory), 100);
  EXPECT_DEATH(mapped.mutable_data_ptr<uint8_t>()[0] = 1, "");
}

TEST(SharedMemory, WhatIsNotThatMemory_IsRefusedByName) {
  at::Tensor memory = MakeShared(100);
  const std::string name = SharedNameOf(memory);
  EXPECT_THAT(FaultOfMapping(name, 101), HasSubstr("has 100 bytes; expected 101"));
  EXPECT_THAT(FaultOfMapping("/proc/1/fd/999999 flame-0", 100), HasSubstr("/proc/1/fd/999999"));
  const at::Tensor other = MakeShared(100);
  const std::string path = SharedNameOf(other).substr(0, SharedNameOf(other).find(' '));
  EXPECT_THAT(FaultOfMapping(path + name.substr(name.find(' ')), 100),
              HasSubstr("expected /memfd:flame-"));
  memory.reset();
  EXPECT_THAT(FaultOfMapping(name, 100), HasSubstr("reading /proc/"));
}

TEST(SharedMemory, TensorsThatAreNotShared_HaveNoName) {
  EXPECT_EQ(SharedNameOf(at::Tensor()), "");
  const at::Tensor memory = MakeShared(100);
  EXPECT_NE(SharedNameOf(memory), "");
  EXPECT_EQ(SharedNameOf(memory.clone()), "");
  EXPECT_EQ(SharedNameOf(MapShared(SharedNameOf(memory), 100)), "");
}

TEST(SharedMemory, ReleasedMemory_LeavesNoDescriptor) {
  const int64_t before = NumDescriptors();
  for (int i = 0; i < 3; ++i) {
    const at::Tensor memory = MakeShared(100);
    const at::Tensor mapped = MapShared(SharedNameOf(memory), 100);
    EXPECT_GT(NumDescriptors(), before);
  }
  EXPECT_EQ(NumDescriptors(), before);
}

}  // namespace
}  // namespace flame
