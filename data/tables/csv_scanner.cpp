#include "data/tables/csv_scanner.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>

namespace flame {
namespace {

constexpr size_t kBlockBytes = 1 << 20;

bool IsEnd(char c) { return c == ',' || c == '\n' || c == '\r'; }

constexpr size_t kNone = static_cast<size_t>(-1);

// Finds the bytes that end a field, 64 at a time: most fields are shorter than that, and a loop
// over the bytes of each takes three times as long.
class EndFinder {
 public:
  static constexpr size_t kWide = 64;
  // `text` can be read for kWide bytes behind `size`.
  EndFinder(const char* text, size_t size) : text_(text), size_(size) {}

  // Returns the place of the first end at `at` or behind it; `size` if there is none.
  size_t Find(size_t at) {
    while (at < size_) {
      if (at - begin_ >= kWide) {
        begin_ = at;
        ends_ = EndsAt(text_ + at);
      }
      const uint64_t left = ends_ >> (at - begin_);
      if (left != 0) return std::min(at + std::countr_zero(left), size_);
      at = begin_ + kWide;
    }
    return size_;
  }

 private:
  // Bit i tells whether byte i ends a field.
  static uint64_t EndsAt(const char* text) {
    uint64_t ends = 0;
#ifdef __SSE2__
    for (size_t i = 0; i < kWide; i += sizeof(__m128i)) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + i));
      const auto equal = [&](char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
      const __m128i found = _mm_or_si128(equal(','), _mm_or_si128(equal('\n'), equal('\r')));
      ends |= static_cast<uint64_t>(_mm_movemask_epi8(found)) << i;
    }
#else
    for (size_t i = 0; i < kWide; ++i) ends |= static_cast<uint64_t>(IsEnd(text[i])) << i;
#endif
    return ends;
  }

  const char* text_;
  size_t size_;
  size_t begin_ = kNone - kWide;  // of the bytes that `ends_` tells of
  uint64_t ends_ = 0;
};

// Returns the length of the character of UTF-8 that `text` begins with; 0 if it is none.
size_t LengthOfCharacter(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first < 0xE0   ? 2
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what is beyond U+10FFFF.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return length;
}

enum class Found { kRow, kEmptyLine, kOpenQuote, kOpenRow, kBehindQuote, kTooLong, kTooManyFields };

// Scans the rows of a block one after the other.
class RowScanner {
 public:
  // `is_whole`: nothing follows the block's bytes.
  RowScanner(CsvScanner::Block* block, bool is_whole)
      : block_(block),
        data_(block->bytes.data()),
        size_(block->size),
        whole_(is_whole),
        ends_(data_, size_) {}

  // Adds the fields of the next row, and none if it returns something else than kRow.
  Found Next() {
    if (next_ == size_) return Found::kOpenRow;
    const size_t begin = next_, first = block_->fields.size();
    size_t at = begin, count = 0;
    char end = ',';
    while (end == ',') {
      Found found = AddField(&at, &end);
      if (++count > CsvScanner::kMostFields) found = Found::kTooManyFields;
      if (found == Found::kRow) continue;
      block_->field_behind = block_->fields.size() - first + 1;
      block_->fields.resize(first);
      return found;
    }
    // The break may be \r\n.
    if (end == '\r') {
      if (at == size_ && !whole_) {
        block_->fields.resize(first);
        return Found::kOpenRow;
      }
      if (at < size_ && data_[at] == '\n') ++at;
    }
    next_ = at;
    const bool empty = IsEnd(data_[begin]) && data_[begin] != ',';
    if (empty || next_ - begin > CsvScanner::kMostRowBytes) {
      block_->fields.resize(first);
      return empty ? Found::kEmptyLine : Found::kTooLong;
    }
    block_->ends.push_back(block_->fields.size());
    return Found::kRow;
  }

  size_t next() const { return next_; }  // behind the row that was scanned

 private:
  // Adds the field at `*at`, and sets `*at` behind the byte that ends it and `*end` to that byte;
  // to \n at the end of the file.
  Found AddField(size_t* at, char* end) {
    size_t begin = *at, stop = 0;
    bool quotes = false;
    if (begin < size_ && data_[begin] == '"') {
      ++begin;
      *at = ScanQuoted(begin, &quotes);
      if (*at == kNone) return Found::kOpenQuote;
      stop = *at - 1;
      if (*at < size_ && !IsEnd(data_[*at])) return Found::kBehindQuote;
    } else {
      stop = *at = ends_.Find(begin);
    }
    if (*at == size_ && !whole_) return Found::kOpenRow;
    block_->fields.emplace_back(data_ + begin, stop - begin, quotes);
    *end = *at < size_ ? data_[(*at)++] : '\n';
    return Found::kRow;
  }

  // Returns the place behind the closing quote of a field whose text is at `at`; kNone if there is
  // none.
  size_t ScanQuoted(size_t at, bool* quotes) const {
    while (true) {
      const void* quote = std::memchr(data_ + at, '"', size_ - at);
      if (quote == nullptr) return kNone;
      at = static_cast<size_t>(static_cast<const char*>(quote) - data_) + 1;
      if (at == size_) return whole_ ? at : kNone;
      if (data_[at] != '"') return at;
      *quotes = true;
      ++at;
    }
  }

  CsvScanner::Block* block_;
  char* data_;
  size_t size_;
  bool whole_;
  EndFinder ends_;
  size_t next_ = 0;
};

// Scans rows until something else than a row or an empty line is found, and returns that.
Found ScanRows(RowScanner* rows) {
  while (true) {
    const Found found = rows->Next();
    if (found != Found::kRow && found != Found::kEmptyLine) return found;
  }
}

}  // namespace

// Appends bytes to the block until it has `least` or no more come.
void CsvScanner::Fill(size_t least, Block* block) {
  if (block->bytes.size() < least + EndFinder::kWide) {
    block->bytes.resize(least + EndFinder::kWide);
  }
  while (block->size < least && !ended_) {
    const size_t read = read_(block->bytes.data() + block->size, least - block->size);
    ended_ = read == 0;
    block->size += read;
  }
}

void CsvScanner::Next(Block* block) {
  block->fields.clear();
  block->ends.clear();
  block->status = Status::kMore;
  if (block->bytes.size() < rest_.size()) block->bytes.resize(rest_.size());
  std::copy(rest_.begin(), rest_.end(), block->bytes.begin());
  block->size = rest_.size();
  rest_.clear();
  // A block with no whole row grows.
  for (size_t least = kBlockBytes; true; least *= 2) {
    Fill(std::max(least, block->size + 1), block);
    RowScanner rows(block, ended_);
    const Found found = ScanRows(&rows);
    const size_t behind = block->behind = rows.next();
    if (found == Found::kTooLong || (!ended_ && block->size - behind > kMostRowBytes)) {
      block->status = Status::kTooLong;
    } else if (found == Found::kBehindQuote) {
      block->status = Status::kBehindQuote;
    } else if (found == Found::kTooManyFields) {
      block->status = Status::kTooManyFields;
    } else if (ended_) {
      block->status = found == Found::kOpenQuote ? Status::kOpenQuote : Status::kEnd;
    } else if (block->ends.empty()) {
      continue;
    } else {
      rest_.assign(block->bytes.begin() + static_cast<int64_t>(behind),
                   block->bytes.begin() + static_cast<int64_t>(block->size));
    }
    return;
  }
}

void CsvField::UndoQuotes() {
  // Text between quotes moves as one piece.
  size_t written = 0;
  for (size_t at = 0; at < size_;) {
    const void* quote = std::memchr(text_ + at, '"', size_ - at);
    const size_t end =
        quote == nullptr ? size_ : static_cast<size_t>(static_cast<const char*>(quote) - text_) + 1;
    std::memmove(text_ + written, text_ + at, end - at);
    written += end - at;
    at = end + 1;  // behind the second of two quotes
  }
  size_ = written;
  quotes_ = false;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    // Eight bytes of ASCII at a time.
    uint64_t word = 0;
    while (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & 0x8080808080808080u) != 0) break;
      text.remove_prefix(sizeof word);
    }
    if (text.empty()) return true;
    const size_t length = LengthOfCharacter(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace flame
