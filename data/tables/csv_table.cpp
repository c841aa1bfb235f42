#include "data/tables/csv_table.h"

#include <arrow/io/compressed.h>
#include <arrow/io/file.h>
#include <arrow/result.h>
#include <arrow/util/compression.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <future>
#include <span>
#include <utility>

#include "base/background.h"
#include "base/error.h"
#include "base/files/lfs_pointer.h"
#include "data/tables/csv_scanner.h"
#include "data/tables/read_progress.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

fs::path FindTable(const fs::path& folder, const std::string& stem) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = Lower(entry.path().filename().string());
    if (name == Lower(stem) + ".csv" || name == Lower(stem) + ".csv.gz") {
      found.push_back(entry.path());
    }
  }
  if (found.size() > 1) {
    std::sort(found.begin(), found.end());
    throw DataError(folder.string(), " has ", found[0].filename().string(), " and ",
                    found[1].filename().string(), "; expected one table ", stem);
  }
  return found.empty() ? fs::path() : found.front();
}

template <class T>
T ValueOf(arrow::Result<T> result, const std::string& path) {
  if (!result.ok()) {
    const std::string& words = result.status().message();
    if (words.find("zlib") == std::string::npos) throw DataError(path, ": ", words);
    throw DataError(path, ": cannot be unpacked (", words, "); expected a whole gzip file, as its ",
                    "name ends in .gz");
  }
  return std::move(result).ValueUnsafe();
}

struct Stream {
  std::shared_ptr<arrow::io::ReadableFile> file;
  std::shared_ptr<arrow::io::InputStream> text;  // `file`, unpacked
};

Stream OpenStream(const std::string& path) {
  const auto file = ValueOf(arrow::io::ReadableFile::Open(path), path);
  if (!Lower(path).ends_with(".gz")) return {file, file};
  // The stream keeps no reference to its codec, so the codec lives as long as the program.
  static const std::unique_ptr<arrow::util::Codec> gzip =
      ValueOf(arrow::util::Codec::Create(arrow::Compression::GZIP), path);
  return {file, ValueOf(arrow::io::CompressedInputStream::Make(gzip.get(), file), path)};
}

// The text of a table, without a byte order mark of UTF-8. Counts bytes of the file for
// ReadProgress.
class TableText {
 public:
  explicit TableText(const std::string& path) : path_(path), stream_(OpenStream(path)) {}

  // Writes the next bytes, at most `size`, and returns their number; 0 at the end.
  size_t Read(char* out, size_t size) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    auto read =
        static_cast<size_t>(ValueOf(stream_.text->Read(static_cast<int64_t>(size), out), path_));
    const int64_t place = ValueOf(stream_.file->Tell(), path_);
    ReadProgress::Count(place - std::exchange(counted_, place));
    const bool first = !std::exchange(begun_, true);
    if (!first || !std::string_view(out, read).starts_with(kMark)) return read;
    read -= kMark.size();
    std::memmove(out, out + kMark.size(), read);
    return read > 0 ? read : Read(out, size);
  }

 private:
  const std::string& path_;
  Stream stream_;
  int64_t counted_ = 0;  // bytes of the file
  bool begun_ = false;
};

int64_t CountBreaks(const char* begin, const char* end) {
  int64_t breaks = 0;
  for (const char* c = begin; c != end; ++c) {
    breaks += *c == '\n' || (*c == '\r' && (c + 1 == end || c[1] != '\n'));
  }
  return breaks;
}

// Returns the line of the file, from 1, on which a row begins. The header is row 1. Reads the file
// again, since only an error needs to know: rows may have several lines, and lines may be empty.
int64_t LineOfRow(const std::string& path, int64_t row) {
  TableText text(path);
  CsvScanner scanner([&](char* out, size_t size) { return text.Read(out, size); });
  CsvScanner::Block block;
  int64_t line = 1;
  do {
    scanner.Next(&block);
    const char* const begin = block.bytes.data();
    const auto rows = static_cast<int64_t>(block.ends.size());
    if (row <= rows) {
      const size_t field = row == 1 ? 0 : block.ends[row - 2];
      return line + CountBreaks(begin, block.fields[field].Raw().data());
    }
    row -= rows;
    line += CountBreaks(begin, begin + block.behind);
  } while (block.status == CsvScanner::Status::kMore);
  return line;  // of what is no row
}

// Reads the rows of a CSV file, a block of them while the one before is used.
class CsvReader {
 public:
  explicit CsvReader(const std::string& path)
      : path_(path),
        text_(path),
        scanner_([this](char* out, size_t size) { return text_.Read(out, size); }) {
    scanner_.Next(&block_);
    std::span<CsvField> header;
    if (!Next(&header)) throw DataError(path, ": cannot be read as CSV: Empty CSV file");
    for (CsvField& name : header) names_.emplace_back(name.Text());
    for (const std::string& name : names_) CheckUtf8(name, "the header");
  }

  const std::vector<std::string>& names() const { return names_; }

  // Sets the fields of the next row. Returns false at the end. Throws DataError on a row with
  // another number of fields than the header, and on a file that ends inside a quoted field.
  bool Next(std::span<CsvField>* fields) {
    while (row_ == block_.ends.size()) {
      if (!NextBlock()) return false;
    }
    const size_t begin = row_ == 0 ? 0 : block_.ends[row_ - 1];
    *fields = {block_.fields.data() + begin, block_.ends[row_++] - begin};
    ++rows_;
    if (rows_ == 1 || fields->size() == names_.size()) return true;
    throw DataError(path_, ": row ", rows_, " (the header is row 1), line ",
                    LineOfRow(path_, rows_), ", has ", fields->size(), " fields; expected ",
                    names_.size(), " as in the header");
  }

  // `where`: for the message.
  void CheckUtf8(std::string_view text, const std::string& where) const {
    if (IsUtf8(text)) return;
    throw DataError(path_, ": cannot be read as CSV: invalid UTF8 in ", where,
                    "; expected UTF-8: `iconv -f latin1 -t utf-8` converts a table in Latin-1");
  }

 private:
  // Returns false at the end of the file.
  bool NextBlock() {
    switch (block_.status) {
      case CsvScanner::Status::kMore:
        break;
      case CsvScanner::Status::kEnd:
        return false;
      case CsvScanner::Status::kOpenQuote:
        throw DataError(path_, ": ends inside a quoted field, after data row ",
                        std::max<int64_t>(rows_ - 1, 0), ", in the row that begins on line ",
                        LineOfRow(path_, rows_ + 1),
                        "; expected its closing quote: the file is cut short, or a quote was "
                        "opened by mistake");
      case CsvScanner::Status::kBehindQuote:
        throw DataError(path_, ": row ", rows_ + 1, " (the header is row 1), line ",
                        LineOfRow(path_, rows_ + 1), ", has text behind the ",
                        "closing quote of field ", block_.field_behind,
                        "; expected a comma or a line break. A quote in a field is written twice");
      case CsvScanner::Status::kTooManyFields:
        throw DataError(path_, ": row ", rows_ + 1, " (the header is row 1), line ",
                        LineOfRow(path_, rows_ + 1), ", has more than ", CsvScanner::kMostFields,
                        " fields; expected ",
                        names_.empty() ? std::string("fewer") : std::to_string(names_.size()));
      case CsvScanner::Status::kTooLong:
        throw DataError(path_, ": data row ", rows_, " is longer than ",
                        CsvScanner::kMostRowBytes >> 20,
                        " MB; expected a line break before that, or a closing quote");
    }
    if (!scanning_.valid()) scanning_ = std::async(kInBackground, [this] { Scan(); });
    scanning_.get();
    std::swap(block_, next_);
    row_ = 0;
    if (block_.status == CsvScanner::Status::kMore) {
      scanning_ = std::async(kInBackground, [this] { Scan(); });
    }
    return true;
  }

  void Scan() { scanner_.Next(&next_); }

  const std::string& path_;
  TableText text_;
  CsvScanner scanner_;
  CsvScanner::Block block_, next_;
  size_t row_ = 0;              // the next row in block_
  int64_t rows_ = 0;            // the header counted
  std::future<void> scanning_;  // fills next_
  std::vector<std::string> names_;
};

// Throws DataError if the file begins with the byte order mark of UTF-16, or is a Git LFS pointer.
void CheckFirstBytes(const std::string& path) {
  char bytes[64] = "";
  const int64_t read = ValueOf(OpenStream(path).text->Read(sizeof(bytes), bytes), path);
  const std::string_view text(bytes, static_cast<size_t>(read));
  RefuseLfsPointer(path, text);
  if (text.starts_with("\x1f\x8b")) {
    throw DataError(path, ": is packed by gzip; expected a name that ends in .csv.gz");
  }
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    throw DataError(path, ": is text in UTF-16; expected UTF-8: `iconv -f utf-16 -t utf-8` ",
                    "converts it");
  }
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

template <class T>
T CsvRow::Parse(size_t column, std::string_view text, const char* expected) const {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) Fail(column, expected);
  return value;
}

std::string CsvRow::Where() const {
  return StrCat("data row ", number_, ", line ", LineOfRow(path_, number_ + 1));
}

void CsvRow::Fail(size_t column, const char* expected) const {
  constexpr size_t kShown = 80;
  const std::string_view value = (*this)[column];
  throw DataError(path_, ": ", columns_[column], " of ", Where(), ", is '", value.substr(0, kShown),
                  value.size() > kShown ? "..." : "", "'; expected ", expected);
}

int64_t CsvRow::Integer(size_t column) const {
  std::string_view text = (*this)[column];
  if (text.ends_with(".0")) text.remove_suffix(2);  // it went through a column of numbers
  return Parse<int64_t>(column, text, "an integer");
}
double CsvRow::Number(size_t column) const {
  return Parse<double>(column, (*this)[column], "a number");
}
Moment CsvRow::Time(size_t column) const {
  const auto moment = ParseMoment((*this)[column]);
  if (!moment) Fail(column, "a time such as 2164-10-23 21:09:00");
  return *moment;
}

CsvTable::CsvTable(const fs::path& folder, const std::string& stem,
                   std::vector<std::string> columns)
    : columns_(std::move(columns)) {
  if (!fs::is_directory(folder)) {
    throw DataError("'", folder.string(), "' is not a folder; expected one with ", stem, ".csv");
  }
  path_ = FindTable(folder, stem).string();
  if (path_.empty()) {
    throw DataError("no table ", stem, " in ", folder.string(), ": looked for ", stem, ".csv and ",
                    stem, ".csv.gz, in upper or lower case");
  }
  CheckColumns();
}

CsvTable CsvTable::OfFile(const fs::path& file, std::vector<std::string> columns) {
  if (!fs::is_regular_file(file)) throw DataError("there is no file ", file.string());
  CsvTable table(std::move(columns));
  table.path_ = file.string();
  table.CheckColumns();
  return table;
}

fs::path CsvTable::Find(const fs::path& folder, const std::string& stem) {
  return fs::is_directory(folder) ? FindTable(folder, stem) : fs::path();
}

bool CsvTable::Exists(const fs::path& folder, const std::string& stem) {
  return !Find(folder, stem).empty();
}

void CsvTable::CheckColumns() {
  CheckFirstBytes(path_);
  header_ = CsvReader(path_).names();
  const std::vector<std::string>& found = header_;
  const std::string delimiters = ";\t|";
  if (found.size() == 1 && columns_.size() > 1) {
    const size_t at = found[0].find_first_of(delimiters);
    if (at != std::string::npos) {
      throw DataError(path_, ": the header is separated by '",
                      found[0][at] == '\t' ? "\\t" : found[0].substr(at, 1), "'; expected commas");
    }
  }
  for (const std::string& column : columns_) {
    const auto is_column = [&](const std::string& name) { return Lower(name) == Lower(column); };
    const auto same = std::find_if(found.begin(), found.end(), is_column);
    if (same == found.end()) {
      throw DataError(path_, ": no column ", column, "; its columns are ", Joined(found));
    }
    if (std::count_if(found.begin(), found.end(), is_column) > 1) {
      throw DataError(path_, ": more than one column ", column, "; its columns are ",
                      Joined(found));
    }
    written_.push_back(*same);
  }
}

bool CsvTable::Has(const std::string& column) const {
  return std::any_of(header_.begin(), header_.end(),
                     [&](const std::string& name) { return Lower(name) == Lower(column); });
}

int64_t CsvTable::ForEachRow(const std::function<void(const CsvRow&)>& use) const {
  CsvReader reader(path_);
  std::vector<size_t> places;
  for (const std::string& name : written_) {
    places.push_back(std::find(header_.begin(), header_.end(), name) - header_.begin());
  }
  CsvRow row(path_, columns_);
  std::span<CsvField> fields;
  while (reader.Next(&fields)) {
    ++row.number_;
    for (size_t c = 0; c < places.size(); ++c) {
      row.values_[c] = fields[places[c]];
      if (!IsUtf8(row.values_[c].Raw())) {
        reader.CheckUtf8(row[c], StrCat(columns_[c], " of ", row.Where()));
      }
    }
    use(row);
  }
  return row.number_;
}

int64_t CsvTable::ForEachRowOfFilled(const std::function<void(const CsvRow&)>& use) const {
  const int64_t rows = ForEachRow(use);
  if (rows == 0) throw DataError(path_, ": no rows below the header; expected at least one");
  return rows;
}

}  // namespace flame
