#include "base/files/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/files/lfs_pointer.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Fail(const fs::path& path, const char* action, int code) {
  throw MachineError(path.string(), ": cannot ", action, ": ", std::strerror(code));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : id_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (id_ < 0) Fail(path, "open", errno);
  }
  ~Descriptor() {
    if (id_ >= 0) close(id_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int id() const { return id_; }
  // Some network file systems report a full disk only here.
  void Close(const fs::path& path) {
    if (close(std::exchange(id_, -1)) != 0) Fail(path, "close", errno);
  }

 private:
  int id_;
};

void WriteAll(const Descriptor& file, const fs::path& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(file.id(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(path, "write", errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

// Calls read() again if a signal interrupts it. errno is 0 unless the read failed.
ssize_t ReadSome(int file, char* to, size_t size) {
  do {
    errno = 0;
    const ssize_t n = read(file, to, size);
    if (n >= 0 || errno != EINTR) return n;
  } while (true);
}

// Ignores EINVAL, with which some file systems refuse to sync a folder.
void Sync(const fs::path& path) {
  Descriptor file(path, O_RDONLY);
  if (fsync(file.id()) != 0 && errno != EINVAL) Fail(path, "sync", errno);
  file.Close(path);
}

void SyncTree(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    fs::directory_iterator entry(path, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (!entry->is_symlink(error)) SyncTree(entry->path());
    }
    if (error) Fail(path, "list the folder", error.value());
  }
  Sync(path);
}

fs::path Parent(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

// Returns ".NAME.tmp-HOST-". The host is in it because a process id means nothing on another host.
std::string TemporaryPrefix(const fs::path& path) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return "." + path.filename().string() + ".tmp-" + host + "-";
}

void RemoveLeftovers(const fs::path& path) {
  const std::string prefix = TemporaryPrefix(path);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(Parent(path), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const long pid = std::strtol(name.c_str() + prefix.size(), nullptr, 10);
    if (pid > 0 && kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

// "runs/x/" means the folder "runs/x".
fs::path WithoutTrailingSlash(fs::path path) {
  return path.has_filename() ? path : path.parent_path();
}

// Puts folder `from` in the place of folder `to`. Afterwards `from` is the old folder or is gone.
void ReplaceFolder(const fs::path& from, const fs::path& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) Fail(to, "replace", errno);
  const fs::path old = from.string() + "-old";
  if (rename(to.c_str(), old.c_str()) != 0) Fail(to, "move away", errno);
  if (rename(from.c_str(), to.c_str()) != 0) {
    const int cause = errno;
    rename(old.c_str(), to.c_str());
    Fail(to, "replace", cause);
  }
  std::error_code ignored;
  fs::remove_all(old, ignored);
}

}  // namespace

void WriteFileAtomically(const fs::path& path, std::string_view bytes) {
  AtomicPath target(path, AtomicPath::Kind::kFile);
  Descriptor file(target.temporary(), O_WRONLY | O_CREAT | O_TRUNC);
  WriteAll(file, path, bytes);
  file.Close(path);
  target.Commit();
}

std::string ReadWholeFile(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) throw DataError(path.string(), ": is a folder, not a file");
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw DataError(path.string(), ": cannot read: ", std::strerror(errno));
  // The size is a first guess: pipes and /proc have none.
  const auto guess = fs::file_size(path, error);
  std::string bytes(error ? 0 : guess, '\0');
  size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) {
      char more[4096];
      const ssize_t n = ReadSome(file, more, sizeof more);
      if (n <= 0) break;
      bytes.append(more, static_cast<size_t>(n));
      filled = bytes.size();
      continue;
    }
    const ssize_t n = ReadSome(file, bytes.data() + filled, bytes.size() - filled);
    if (n <= 0) break;
    filled += static_cast<size_t>(n);
  }
  const int cause = errno;
  close(file);
  if (cause != 0)
    throw DataError(path.string(), ": cannot read to the end: ", std::strerror(cause));
  bytes.resize(filled);
  RefuseLfsPointer(path.string(), bytes);
  return bytes;
}

AtomicPath::AtomicPath(fs::path path, Kind kind)
    : path_(WithoutTrailingSlash(std::move(path))), kind_(kind) {
  static std::atomic<int> counter{0};
  std::error_code error;
  fs::create_directories(Parent(path_), error);
  if (error) Fail(Parent(path_), "make the folder", error.value());
  RemoveLeftovers(path_);
  temporary_ = Parent(path_) / (TemporaryPrefix(path_) + std::to_string(getpid()) + "-" +
                                std::to_string(counter++));
  if (kind_ == Kind::kFolder && mkdir(temporary_.c_str(), 0777) != 0) {
    Fail(temporary_, "make the folder", errno);
  }
}

AtomicPath::~AtomicPath() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void AtomicPath::Commit() {
  SyncTree(temporary_);
  if (kind_ == Kind::kFolder && fs::exists(path_)) {
    ReplaceFolder(temporary_, path_);
  } else if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    Fail(path_, "rename into place", errno);
  }
  committed_ = true;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);  // the old folder, if exchanged
  Sync(Parent(path_));
}

}  // namespace flame
