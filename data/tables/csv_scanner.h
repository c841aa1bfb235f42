// Splits the bytes of a CSV file into rows and fields (RFC 4180).
#ifndef FLAME_DATA_TABLES_CSV_SCANNER_H_
#define FLAME_DATA_TABLES_CSV_SCANNER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// A field of a row, in the scanner's buffer.
class CsvField {
 public:
  CsvField() = default;
  CsvField(char* text, size_t size, bool quotes) : text_(text), size_(size), quotes_(quotes) {}
  // Returns the value. Quotes are undone in place when it is first asked for: most fields are not.
  std::string_view Text() {
    if (quotes_) UndoQuotes();
    return {text_, size_};
  }
  // Returns the value with its quotes as they are until Text is called.
  std::string_view Raw() const { return {text_, size_}; }

 private:
  void UndoQuotes();
  char* text_ = nullptr;
  size_t size_ = 0;
  bool quotes_ = false;  // two quotes in it stand for one
};

// A field that begins with a quote ends at the next single quote, and holds breaks and commas until
// then; two quotes within it stand for one. Behind the closing quote only a comma or a break may
// follow. A quote inside any other field is text. Rows end with \n, \r\n or \r; empty lines are no
// rows.
class CsvScanner {
 public:
  // A row, with its quotes and breaks, is at most this long.
  static constexpr size_t kMostRowBytes = size_t{64} << 20;

  // `read(out, size)` writes the next bytes, at most `size`, and returns their number; 0 at the
  // end.
  using Read = std::function<size_t(char* out, size_t size)>;
  explicit CsvScanner(Read read);

  enum class Status { kRow, kEnd, kOpenQuote, kBehindQuote, kTooLong };
  // Sets the fields of the next row; they are valid until the next call. kOpenQuote: the file ends
  // inside a quoted field. kBehindQuote: a row has text behind the closing quote of the field that
  // follows `fields`. After another status than kRow there are no more rows.
  Status Next(std::vector<CsvField>* fields);

 private:
  struct Place {
    size_t begin = 0, end = 0;  // in buffer_, without the opening quote
    bool quotes = false;        // has quotes to be undone, between begin and end
  };
  enum class Found { kRow, kEmptyLine, kMore, kBehindQuote };
  Found Scan();
  size_t ScanQuoted(Place* field) const;
  bool Refill();
  void SetFields(std::vector<CsvField>* fields);

  Read read_;
  std::vector<char> buffer_;
  size_t begin_ = 0, size_ = 0;  // the row that is scanned begins at begin_; size_ bytes are read
  size_t next_ = 0;              // behind the row that was scanned
  bool ended_ = false;           // no more bytes come
  bool open_quote_ = false;
  std::vector<Place> fields_;
};

// Returns true if the text is UTF-8 (RFC 3629).
bool IsUtf8(std::string_view text);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_CSV_SCANNER_H_
