// Files and folders that are whole or absent: written under a temporary name, synced, renamed.
#ifndef FLAME_BASE_FILES_ATOMIC_FILE_H_
#define FLAME_BASE_FILES_ATOMIC_FILE_H_

#include <filesystem>
#include <string>
#include <string_view>

namespace flame {

// Replaces `path` by `bytes`. Throws MachineError naming path and cause (disk full, no permission);
// `path` then holds what it held before. Parent folders are made.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

// The whole file. Throws DataError naming the path if it cannot be read.
std::string ReadWholeFile(const std::filesystem::path& path);

// A file or folder under construction: fill `temporary()`, then Commit(). Without Commit the
// destructor removes it. What a killed writer left (`.NAME.tmp-HOST-PID-N`) is removed by the next
// writer of the same path on that host, if the process is gone.
class AtomicPath {
 public:
  enum class Kind { kFile, kFolder };  // a folder is made at once, a file is not
  AtomicPath(std::filesystem::path path, Kind kind);
  ~AtomicPath();
  AtomicPath(const AtomicPath&) = delete;
  AtomicPath& operator=(const AtomicPath&) = delete;

  const std::filesystem::path& temporary() const { return temporary_; }
  // Syncs everything below temporary() and renames it to the path. An old folder changes places
  // with the new one in one step and is then removed; a file system that knows no such step (NFS)
  // moves it away first. Throws MachineError.
  void Commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  Kind kind_;
  bool committed_ = false;
};

}  // namespace flame

#endif  // FLAME_BASE_FILES_ATOMIC_FILE_H_
