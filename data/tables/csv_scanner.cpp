#include "data/tables/csv_scanner.h"

#include <array>
#include <cstring>

namespace flame {
namespace {

constexpr size_t kBlockBytes = 4 << 20;

// The bytes that end a field without quotes.
constexpr std::array<bool, 256> kEnds = [] {
  std::array<bool, 256> ends{};
  ends[','] = ends['\n'] = ends['\r'] = true;
  return ends;
}();

constexpr size_t kNone = static_cast<size_t>(-1);

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

}  // namespace

CsvScanner::CsvScanner(Read read) : read_(std::move(read)), buffer_(kBlockBytes) {}

CsvScanner::Status CsvScanner::Next(std::vector<CsvField>* fields) {
  begin_ = next_;
  while (true) {
    switch (Scan()) {
      case Found::kRow:
        if (next_ - begin_ > kMostRowBytes) return Status::kTooLong;
        SetFields(fields);
        return Status::kRow;
      case Found::kBehindQuote:
        SetFields(fields);
        return Status::kBehindQuote;
      case Found::kEmptyLine:
        begin_ = next_;
        break;
      case Found::kMore:
        if (ended_) return open_quote_ ? Status::kOpenQuote : Status::kEnd;
        if (!Refill()) return Status::kTooLong;
        break;
    }
  }
}

// Moves the row that is scanned to the front of the buffer and reads behind it. Returns false if
// the row is too long.
bool CsvScanner::Refill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, size_ - begin_);
  size_ -= begin_;
  begin_ = next_ = 0;
  if (size_ > kMostRowBytes) return false;
  if (size_ * 2 > buffer_.size()) buffer_.resize(buffer_.size() * 2);
  while (size_ < buffer_.size()) {
    const size_t read = read_(buffer_.data() + size_, buffer_.size() - size_);
    ended_ = read == 0;
    size_ += read;
    if (ended_) break;
  }
  return true;
}

// Sets a quoted field, whose first byte behind the quote is at field->begin. Returns the place
// behind it; kNone if more bytes are needed.
size_t CsvScanner::ScanQuoted(Place* field) const {
  const char* const data = buffer_.data();
  size_t at = field->begin;
  while (true) {
    const void* quote = std::memchr(data + at, '"', size_ - at);
    if (quote == nullptr) return kNone;
    at = static_cast<size_t>(static_cast<const char*>(quote) - data) + 1;
    if (at == size_) {
      if (!ended_) return kNone;
      break;
    }
    if (data[at] != '"') break;
    field->quotes = true;
    ++at;
  }
  field->end = at - 1;
  return at;
}

// Scans the row at begin_ and sets fields_ and next_.
CsvScanner::Found CsvScanner::Scan() {
  const char* const data = buffer_.data();
  fields_.clear();
  size_t at = begin_;
  open_quote_ = false;
  if (at == size_) return Found::kMore;
  while (true) {
    Place field{at, at, false};
    if (at < size_ && data[at] == '"') {
      ++field.begin;
      at = ScanQuoted(&field);
      open_quote_ = at == kNone;
      if (open_quote_) return Found::kMore;
      if (at < size_ && !kEnds[static_cast<unsigned char>(data[at])]) return Found::kBehindQuote;
    } else {
      while (at < size_ && !kEnds[static_cast<unsigned char>(data[at])]) ++at;
      field.end = at;
    }
    if (at == size_ && !ended_) return Found::kMore;
    fields_.push_back(field);
    if (at == size_) break;
    const char end = data[at++];
    if (end == ',') continue;
    // The break may be \r\n.
    if (end == '\r') {
      if (at == size_ && !ended_) return Found::kMore;
      if (at < size_ && data[at] == '\n') ++at;
    }
    break;
  }
  next_ = at;
  const bool empty =
      fields_.size() == 1 && fields_[0].begin == begin_ && fields_[0].end == fields_[0].begin;
  return empty ? Found::kEmptyLine : Found::kRow;
}

void CsvScanner::SetFields(std::vector<CsvField>* fields) {
  fields->clear();
  for (const Place& field : fields_) {
    fields->emplace_back(buffer_.data() + field.begin, field.end - field.begin, field.quotes);
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
