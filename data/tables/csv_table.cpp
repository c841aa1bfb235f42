#include "data/tables/csv_table.h"

#include <arrow/array/array_binary.h>
#include <arrow/csv/options.h>
#include <arrow/csv/reader.h>
#include <arrow/io/compressed.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <arrow/util/compression.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/files/lfs_pointer.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kBlockBytes = 8 << 20;  // a row, including its note, must fit into a block

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
  if (!result.ok()) throw DataError(path, ": ", result.status().message());
  return std::move(result).ValueUnsafe();
}

std::shared_ptr<arrow::io::InputStream> OpenStream(const std::string& path) {
  std::shared_ptr<arrow::io::InputStream> stream =
      ValueOf(arrow::io::ReadableFile::Open(path), path);
  if (!Lower(path).ends_with(".gz")) return stream;
  // The stream keeps no reference to its codec, so the codec lives as long as the program.
  static const std::unique_ptr<arrow::util::Codec> gzip =
      ValueOf(arrow::util::Codec::Create(arrow::Compression::GZIP), path);
  return ValueOf(arrow::io::CompressedInputStream::Make(gzip.get(), stream), path);
}

// The position of a reader within a field (RFC 4180).
enum class FieldPart { kStart, kPlain, kQuoted, kQuoteInQuoted };

FieldPart After(FieldPart part, char next) {
  if (part == FieldPart::kQuoted) return next == '"' ? FieldPart::kQuoteInQuoted : part;
  if (next == ',' || next == '\n' || next == '\r') return FieldPart::kStart;
  // A quote at a field's start opens the field. Within a quoted field, two quotes stand for one.
  return next == '"' && part != FieldPart::kPlain ? FieldPart::kQuoted : FieldPart::kPlain;
}

struct RaggedRow {
  int64_t number = 0;
  int32_t expected = 0, found = 0;
};

// A reader's observations on its file. A thread of Arrow's reads ahead and may still write here
// when the reader is gone, so the stream owns it too.
struct Seen {
  std::optional<RaggedRow> ragged;
  FieldPart part = FieldPart::kStart;
};

// Follows the quotes of the bytes that pass, because Arrow accepts a last field whose quotes are
// still open.
class QuoteWatch : public arrow::io::InputStream {
 public:
  QuoteWatch(std::shared_ptr<arrow::io::InputStream> stream, std::shared_ptr<Seen> seen)
      : stream_(std::move(stream)), seen_(std::move(seen)) {}
  arrow::Status Close() override { return stream_->Close(); }
  bool closed() const override { return stream_->closed(); }
  arrow::Result<int64_t> Tell() const override { return stream_->Tell(); }
  arrow::Result<int64_t> Read(int64_t size, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const int64_t read, stream_->Read(size, out));
    Follow(static_cast<const char*>(out), read);
    return read;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override {
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer, stream_->Read(size));
    Follow(reinterpret_cast<const char*>(buffer->data()), buffer->size());
    return buffer;
  }

 private:
  void Follow(const char* bytes, int64_t size) {
    for (int64_t i = 0; i < size; ++i) seen_->part = After(seen_->part, bytes[i]);
  }
  std::shared_ptr<arrow::io::InputStream> stream_;
  std::shared_ptr<Seen> seen_;
};

// Opens a reader of `columns` (all if empty). A row with a wrong number of fields makes reading
// fail and is noted in `seen`.
arrow::Result<std::shared_ptr<arrow::csv::StreamingReader>> OpenReader(
    const std::string& path, const std::vector<std::string>& columns,
    const std::shared_ptr<Seen>& seen) {
  auto read = arrow::csv::ReadOptions::Defaults();
  read.block_size = kBlockBytes;
  read.use_threads = false;  // row numbers are known only in serial reading
  auto parse = arrow::csv::ParseOptions::Defaults();
  parse.newlines_in_values = true;
  parse.invalid_row_handler = [seen](const arrow::csv::InvalidRow& row) {
    seen->ragged = RaggedRow{row.number, row.expected_columns, row.actual_columns};
    return arrow::csv::InvalidRowResult::Error;
  };
  auto convert = arrow::csv::ConvertOptions::Defaults();
  convert.default_column_type = arrow::utf8();
  convert.include_columns = columns;
  return arrow::csv::StreamingReader::Make(arrow::io::default_io_context(),
                                           std::make_shared<QuoteWatch>(OpenStream(path), seen),
                                           read, parse, convert);
}

[[noreturn]] void FailReading(const std::string& path, const arrow::Status& status,
                              const std::optional<RaggedRow>& ragged) {
  if (ragged) {
    throw DataError(path, ": row ", ragged->number, " (the header is row 1) has ", ragged->found,
                    " fields; expected ", ragged->expected, " as in the header");
  }
  const bool encoding = status.message().find("UTF8") != std::string::npos;
  throw DataError(
      path, ": cannot be read as CSV: ", status.message(),
      encoding ? "; expected UTF-8: `iconv -f latin1 -t utf-8` converts a table in Latin-1" : "");
}

// Throws DataError if the file begins with the byte order mark of UTF-16, or is a Git LFS pointer.
void CheckFirstBytes(const std::string& path) {
  char bytes[64] = "";
  const int64_t read = ValueOf(OpenStream(path)->Read(sizeof(bytes), bytes), path);
  const std::string_view text(bytes, static_cast<size_t>(read));
  RefuseLfsPointer(path, text);
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

void CsvRow::Fail(size_t column, const char* expected) const {
  throw DataError(path_, ": ", columns_[column], " of data row ", number_, " is '", values_[column],
                  "'; expected ", expected);
}

int64_t CsvRow::Integer(size_t column) const {
  std::string_view text = values_[column];
  if (text.ends_with(".0")) text.remove_suffix(2);  // it went through a column of numbers
  return Parse<int64_t>(column, text, "an integer");
}
double CsvRow::Number(size_t column) const {
  return Parse<double>(column, values_[column], "a number");
}
Moment CsvRow::Time(size_t column) const {
  const auto moment = ParseMoment(values_[column]);
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

fs::path CsvTable::Find(const fs::path& folder, const std::string& stem) {
  return fs::is_directory(folder) ? FindTable(folder, stem) : fs::path();
}

bool CsvTable::Exists(const fs::path& folder, const std::string& stem) {
  return !Find(folder, stem).empty();
}

void CsvTable::CheckColumns() {
  CheckFirstBytes(path_);
  const auto seen = std::make_shared<Seen>();
  auto reader = OpenReader(path_, {}, seen);
  if (!reader.ok()) FailReading(path_, reader.status(), seen->ragged);
  header_ = (*reader)->schema()->field_names();
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

void CsvTable::UseBatch(const arrow::RecordBatch& batch, CsvRow* row,
                        const std::function<void(const CsvRow&)>& use) const {
  std::vector<const arrow::StringArray*> arrays;
  for (int i = 0; i < batch.num_columns(); ++i) {
    arrays.push_back(static_cast<const arrow::StringArray*>(batch.column(i).get()));
  }
  for (int64_t i = 0; i < batch.num_rows(); ++i) {
    for (size_t c = 0; c < arrays.size(); ++c) {
      row->values_[c] = arrays[c]->IsNull(i) ? std::string_view() : arrays[c]->GetView(i);
    }
    ++row->number_;
    use(*row);
  }
}

int64_t CsvTable::ForEachRow(const std::function<void(const CsvRow&)>& use) const {
  const auto seen = std::make_shared<Seen>();
  auto reader = OpenReader(path_, written_, seen);
  if (!reader.ok()) FailReading(path_, reader.status(), seen->ragged);
  CsvRow row(path_, columns_);
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    const arrow::Status status = (*reader)->ReadNext(&batch);
    if (!status.ok()) FailReading(path_, status, seen->ragged);
    if (!batch) break;
    UseBatch(*batch, &row, use);
  }
  if (seen->part == FieldPart::kQuoted) {
    throw DataError(path_, ": ends inside a quoted field, after data row ", row.number_ - 1,
                    "; expected its closing quote: the file is cut short");
  }
  return row.number_;
}

int64_t CsvTable::ForEachRowOfFilled(const std::function<void(const CsvRow&)>& use) const {
  const int64_t rows = ForEachRow(use);
  if (rows == 0) throw DataError(path_, ": no rows below the header; expected at least one");
  return rows;
}

}  // namespace flame
