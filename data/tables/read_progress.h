// Shows how much of a hospital's tables has been read, and the time left.
#ifndef FLAME_DATA_TABLES_READ_PROGRESS_H_
#define FLAME_DATA_TABLES_READ_PROGRESS_H_

#include <cstdint>

namespace flame {

// While an object lives, the bytes that CsvTable reads in any thread are shown. One at a time.
class ReadProgress {
 public:
  // `bytes`: those of all tables together, as stored. Tables that are read in a few seconds show
  // nothing.
  explicit ReadProgress(int64_t bytes);
  ~ReadProgress();
  ReadProgress(const ReadProgress&) = delete;
  ReadProgress& operator=(const ReadProgress&) = delete;

  // Counts bytes read; does nothing while no object lives. Bytes beyond all, of a table that is
  // read twice, are not shown.
  static void Count(int64_t bytes);
};

}  // namespace flame

#endif  // FLAME_DATA_TABLES_READ_PROGRESS_H_
