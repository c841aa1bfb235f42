// Files and folders that are either whole or absent: they are written under a temporary name,
// synced, then renamed.
#ifndef FLAME_BASE_FILES_ATOMIC_FILE_H_
#define FLAME_BASE_FILES_ATOMIC_FILE_H_

#include <filesystem>
#include <string>
#include <string_view>

namespace flame {

// Replaces the content of `path` with `bytes` and makes parent folders. Throws MachineError naming
// path and cause (disk full, no permission); `path` then holds what it held before.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

// Returns the whole file. Throws DataError naming the path if it cannot be read or is a Git LFS
// pointer.
std::string ReadWholeFile(const std::filesystem::path& path);

// A file or folder under construction: fill `temporary()`, then Commit(). Without Commit the
// destructor removes it. A killed writer leaves `.NAME.tmp-HOST-PID-N`, which the next writer of
// the same path on that host removes once that process is gone.
class AtomicPath {
 public:
  enum class Kind { kFile, kFolder };  // the constructor makes a folder, but no file
  AtomicPath(std::filesystem::path path, Kind kind);
  ~AtomicPath();
  AtomicPath(const AtomicPath&) = delete;
  AtomicPath& operator=(const AtomicPath&) = delete;

  const std::filesystem::path& temporary() const { return temporary_; }
  // Syncs everything below temporary() and renames it to the path. If the path is a folder already,
  // both folders are exchanged in one step and the old one is then removed; on a file system
  // without such a step (NFS) the old folder is moved away first. Throws MachineError on failure.
  void Commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  Kind kind_;
  bool committed_ = false;
};

}  // namespace flame

#endif  // FLAME_BASE_FILES_ATOMIC_FILE_H_
