// Git LFS leaves a pointer of some 130 bytes where a file was not fetched.
#ifndef FLAME_BASE_FILES_LFS_POINTER_H_
#define FLAME_BASE_FILES_LFS_POINTER_H_

#include <string>
#include <string_view>

#include "base/error.h"

namespace flame {

// Throws DataError if a file with these first bytes is a pointer (Git LFS specification, version
// 1).
inline void RefuseLfsPointer(const std::string& path, std::string_view bytes) {
  if (!bytes.starts_with("version https://git-lfs.github.com/spec/")) return;
  throw DataError(path,
                  ": is a Git LFS pointer in place of the file itself; `git lfs pull`, in its ",
                  "checkout, fetches the file");
}

}  // namespace flame

#endif  // FLAME_BASE_FILES_LFS_POINTER_H_
