#include "data/tables/codes.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace flame {
namespace {

constexpr size_t kNdcDigits = 11, kLabelerDigits = 5, kProductDigits = 4;

bool IsDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool IsZeros(std::string_view text) {
  return !text.empty() && text.find_first_not_of('0') == std::string_view::npos;
}

std::string Padded(std::string_view digits, size_t size) {
  return std::string(size - std::min(size, digits.size()), '0') + std::string(digits);
}

std::optional<std::string> Ndc9OfSegments(std::string_view text) {
  const size_t first = text.find('-');
  const size_t second = std::min(text.find('-', first + 1), text.size());
  const std::string_view labeler = text.substr(0, first);
  const std::string_view product = text.substr(first + 1, second - first - 1);
  const std::string_view package = text.substr(std::min(second + 1, text.size()));
  if (!IsDigits(labeler) || !IsDigits(product) || labeler.size() > kLabelerDigits ||
      product.size() > kProductDigits || (!package.empty() && !IsDigits(package))) {
    return std::nullopt;
  }
  return Padded(labeler, kLabelerDigits) + Padded(product, kProductDigits);
}

// Returns the digits of a whole number written as 73458001.0 or 7.3458001E7; nothing if digits of
// it are missing.
std::optional<std::string> DigitsOfNumber(std::string_view text) {
  int64_t exponent = 0;
  const size_t e = text.find_first_of("eE");
  if (e != std::string_view::npos) {
    std::string_view power = text.substr(e + 1);
    if (power.starts_with('+')) power.remove_prefix(1);
    const auto [end, error] = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (error != std::errc() || end != power.data() + power.size()) return std::nullopt;
    text = text.substr(0, e);
  }
  const size_t dot = text.find('.');
  std::string whole(text.substr(0, dot));
  const std::string fraction(dot == std::string_view::npos ? "" : text.substr(dot + 1));
  if (!IsDigits(whole) || (!fraction.empty() && !IsDigits(fraction))) return std::nullopt;
  if (exponent == 0) {
    if (!fraction.empty() && !IsZeros(fraction)) return std::nullopt;
    return whole;
  }
  // A shorter fraction may have been rounded.
  if (exponent < 0 || static_cast<size_t>(exponent) != fraction.size()) return std::nullopt;
  return whole + fraction;
}

std::string_view WithoutZeros(std::string_view digits) {
  return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

// The parts of a code before and behind its dot.
struct Dotted {
  std::string_view whole, fraction;
};

std::optional<Dotted> AtDot(std::string_view code) {
  const size_t dot = code.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const Dotted parts{code.substr(0, dot), code.substr(dot + 1)};
  const bool letter = !parts.whole.empty() && std::isalpha(static_cast<unsigned char>(code[0]));
  if (!IsDigits(parts.whole.substr(letter ? 1 : 0)) ||
      (!parts.fraction.empty() && !IsDigits(parts.fraction))) {
    return std::nullopt;
  }
  return parts;
}

// Returns the number of characters before the dot: 3 in a diagnosis, 4 if it begins with E, 2 in a
// procedure.
size_t CategorySize(CodeKind kind, std::string_view code) {
  if (kind == CodeKind::kProcedure) return 2;
  return code.starts_with('E') ? 4 : 3;
}

// Evidence from the codes of a column for the meaning of its dots; see CanonicalIcd9.
struct ColumnStyle {
  bool with_dots = false, as_numbers = false;
  bool lost_zeros = false;  // in front of a code
  bool kept_zeros = false;  // in front of a code or behind its dot's first digit

  void See(CodeKind kind, const std::string& code) {
    const auto parts = AtDot(code);
    if (!parts) return;
    const auto [whole, fraction] = *parts;
    const size_t category = CategorySize(kind, whole);
    const bool letter = !IsDigits(whole);
    as_numbers |= whole.size() > category && IsZeros(fraction);
    if (whole.size() > category) return;
    const bool front = whole.size() == category && whole.starts_with('0');
    with_dots |= letter || front || (!fraction.empty() && !IsZeros(fraction));
    lost_zeros |= !letter && whole.size() < category;
    kept_zeros |= !letter && (front || (fraction.size() > 1 && fraction.ends_with('0')));
  }

  std::string WithoutDot(CodeKind kind, const std::string& code, const Dotted& parts) const {
    const std::string whole(parts.whole), fraction(parts.fraction);
    const size_t category = CategorySize(kind, whole);
    const bool zeros = fraction.empty() || IsZeros(fraction);
    if (whole.size() > category) return zeros ? whole : code;
    if (!IsDigits(whole)) return whole + fraction;
    if (!zeros) return Padded(whole, category) + fraction;
    if (as_numbers == with_dots || (lost_zeros && !kept_zeros)) return code;
    return as_numbers ? whole : Padded(whole, category) + fraction;
  }
};

}  // namespace

std::string_view Trimmed(std::string_view text) {
  const auto size_of = [](std::string_view part, auto matches) -> size_t {
    for (const std::string_view blank :
         {" ", "\t", "\r", "\n", "'", "\"", "\u00a0", "\u200b", "\ufeff"}) {
      if (matches(part, blank)) return blank.size();
    }
    return 0;
  };
  const auto starts = [](std::string_view part, std::string_view x) { return part.starts_with(x); };
  const auto ends = [](std::string_view part, std::string_view x) { return part.ends_with(x); };
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) != 0; };
  if (!text.empty() && is_plain(text.front()) && is_plain(text.back())) return text;
  while (const size_t size = size_of(text, starts)) text.remove_prefix(size);
  while (const size_t size = size_of(text, ends)) text.remove_suffix(size);
  return text;
}

std::string CanonicalId(std::string_view text) {
  std::string id(Trimmed(text));
  for (char& c : id) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return id;
}

std::vector<std::string> NdcReadings(std::string_view text) {
  text = Trimmed(text);
  if (text.find('-') != std::string_view::npos) {
    const auto ndc9 = Ndc9OfSegments(text);
    return ndc9 && !IsZeros(*ndc9) ? std::vector{*ndc9} : std::vector<std::string>();
  }
  const auto digits = IsDigits(text) ? std::optional(std::string(text)) : DigitsOfNumber(text);
  if (!digits || IsZeros(*digits)) return {};
  if (digits->size() > kNdcDigits && WithoutZeros(*digits).size() > kNdcDigits) return {};
  const std::string padded = Padded(WithoutZeros(*digits), kNdcDigits);
  std::vector<std::string> readings{padded.substr(0, kLabelerDigits + kProductDigits)};
  if (digits->size() == 10 && IsDigits(text)) {
    readings.push_back(digits->substr(0, 5) + "0" + digits->substr(5, 3));
    readings.push_back(digits->substr(0, 9));
  }
  return readings;
}

bool IsMissing(std::string_view text) {
  text = Trimmed(text);
  constexpr size_t kLongest = 4;
  if (text.size() > kLongest) return false;
  const std::string id = CanonicalId(text);
  for (const char* missing : {"", "NAN", "NA", "N/A", "#N/A", "<NA>", "NONE", "NULL"}) {
    if (id == missing) return true;
  }
  return false;
}

bool IsNoNdc(std::string_view text) {
  if (IsDigits(text) && !IsZeros(text)) return false;
  return IsMissing(text) || CanonicalId(text).find_first_not_of("0.-") == std::string::npos;
}

std::optional<std::string> Ndc9OfKey(std::string_view text) {
  text = Trimmed(text);
  if (text.find('-') != std::string_view::npos) {
    return std::count(text.begin(), text.end(), '-') == 1 ? Ndc9OfSegments(text) : std::nullopt;
  }
  const auto digits = DigitsOfNumber(text);
  constexpr size_t kSize = kLabelerDigits + kProductDigits;
  if (!digits || digits->size() > kSize) return std::nullopt;
  return Padded(WithoutZeros(*digits), kSize);
}

std::string CanonicalIcd10(std::string_view code) {
  std::string id = CanonicalId(code.substr(kIcd10.size()));
  // A second dot is no code's, so it stays and is told.
  if (std::count(id.begin(), id.end(), '.') == 1) std::erase(id, '.');
  return std::string(kIcd10) + id;
}

std::vector<std::string> CanonicalIcd9(CodeKind kind, const std::vector<std::string>& codes) {
  std::vector<std::string> canonical;
  ColumnStyle style;
  for (const std::string& code : codes) {
    canonical.push_back(CanonicalId(code));
    style.See(kind, canonical.back());
  }
  for (std::string& code : canonical) {
    if (const auto parts = AtDot(code)) code = style.WithoutDot(kind, code, *parts);
  }
  return canonical;
}

}  // namespace flame
