#include "comm/shared_memory.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/set.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

// A mapping, and the descriptor through which other processes open it.
struct Block {
  ~Block() {
    if (data != MAP_FAILED) munmap(data, size);
    if (descriptor >= 0) close(descriptor);
  }
  void* data = MAP_FAILED;
  size_t size = 0;
  int descriptor = -1;
  std::string name;
};

void Release(void* block) { delete static_cast<Block*>(block); }

template <class... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  const int error = errno;
  throw MachineError(parts..., ": ", std::strerror(error));
}

void Map(int protection, int flags, Block* block) {
  block->data = mmap(nullptr, block->size, protection, MAP_SHARED | flags, block->descriptor, 0);
  if (block->data == MAP_FAILED) Fail("mapping ", block->size, " bytes of shared memory");
}

at::Tensor TensorOf(std::unique_ptr<Block> block) {
  const auto size = static_cast<int64_t>(block->size);
  void* data = block->data;
  at::DataPtr pointer(data, block.release(), &Release, at::kCPU);
  const c10::Storage storage(c10::Storage::use_byte_size_t(), size, std::move(pointer));
  at::Tensor tensor = at::empty({0}, at::kByte);
  return tensor.set_(storage, 0, {size}, {1});
}

// Returns a name that no other shared memory has, in any process on any machine.
std::string Token() {
  std::random_device random;
  char text[48];
  std::snprintf(text, sizeof(text), "flame-%08x%08x%08x%08x", random(), random(), random(),
                random());
  return text;
}

}  // namespace

at::Tensor MakeShared(int64_t size) {
  auto block = std::make_unique<Block>();
  const std::string token = Token();
  block->size = static_cast<size_t>(size);
  block->descriptor = memfd_create(token.c_str(), MFD_CLOEXEC);
  if (block->descriptor < 0) Fail("making shared memory (memfd_create)");
  if (ftruncate(block->descriptor, size) != 0) Fail("making ", size, " bytes of shared memory");
  Map(PROT_READ | PROT_WRITE, 0, block.get());
  block->name = StrCat("/proc/", getpid(), "/fd/", block->descriptor, " ", token);
  return TensorOf(std::move(block));
}

std::string SharedNameOf(const at::Tensor& tensor) {
  if (!tensor.defined()) return "";
  const auto* block = tensor.storage().data_ptr().cast_context<Block>(&Release);
  return block == nullptr ? "" : block->name;
}

at::Tensor MapShared(const std::string& name, int64_t size) {
  const size_t space = name.find(' ');
  const std::string path = name.substr(0, space);
  const std::string expected = StrCat("/memfd:", name.substr(space + 1), " (deleted)");
  // The path is checked before it is opened, because on another machine it names something else.
  char found[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), found, sizeof(found));
  if (length < 0) Fail("reading ", path);
  if (std::string_view(found, static_cast<size_t>(length)) != expected) {
    throw MachineError(path, " is ", std::string(found, static_cast<size_t>(length)), "; expected ",
                       expected);
  }
  auto block = std::make_unique<Block>();
  block->descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (block->descriptor < 0) Fail("opening ", path);
  struct stat status;
  if (fstat(block->descriptor, &status) != 0) Fail("looking at ", path);
  if (status.st_size != size) {
    throw MachineError(path, " has ", status.st_size, " bytes; expected ", size);
  }
  block->size = static_cast<size_t>(size);
  Map(PROT_READ, MAP_POPULATE, block.get());
  return TensorOf(std::move(block));
}

}  // namespace flame
