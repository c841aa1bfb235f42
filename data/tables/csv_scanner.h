// Splits the bytes of a CSV file into rows and fields (RFC 4180).
#ifndef FLAME_DATA_TABLES_CSV_SCANNER_H_
#define FLAME_DATA_TABLES_CSV_SCANNER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
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
  static constexpr size_t kMostFields = 10000;  // of a row

  // `read(out, size)` writes the next bytes, at most `size`, and returns their number; 0 at the
  // end.
  using Read = std::function<size_t(char* out, size_t size)>;
  explicit CsvScanner(Read read) : read_(std::move(read)) {}

  enum class Status { kMore, kEnd, kOpenQuote, kBehindQuote, kTooLong, kTooManyFields };

  // Some rows in turn. A block is used while the scanner fills another one.
  struct Block {
    std::vector<char> bytes;
    size_t size = 0;               // of `bytes`, those in use
    size_t behind = 0;             // of these, those up to the end of the last row
    std::vector<CsvField> fields;  // of all rows; they are in `bytes`
    std::vector<size_t> ends;      // for each row: where its fields end in `fields`
    // Tells what follows the rows. kMore: perhaps other rows. kOpenQuote: the file ends inside a
    // quoted field. kBehindQuote: a row has text behind the closing quote of its field
    // `field_behind`, from 1. After another status than kMore there are no more blocks.
    Status status = Status::kMore;
    size_t field_behind = 0;
  };
  // Replaces the block's contents by the next rows, at least one if `status` is kMore.
  void Next(Block* block);

 private:
  void Fill(size_t least, Block* block);

  Read read_;
  std::vector<char> rest_;  // bytes read, behind the rows of the last block
  bool ended_ = false;      // no more bytes come
};

// Returns true if the text is UTF-8 (RFC 3629).
bool IsUtf8(std::string_view text);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_CSV_SCANNER_H_
