// The canonical forms of codes that spreadsheets and exports have damaged.
#ifndef FLAME_DATA_TABLES_CODES_H_
#define FLAME_DATA_TABLES_CODES_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// Returns `text` without blanks (also U+00A0, U+200B and U+FEFF) and quotes around it.
std::string_view Trimmed(std::string_view text);

// Returns an id or code as mappings write it: trimmed, in upper case. " db00316" -> "DB00316".
std::string CanonicalId(std::string_view text);

// The labeler and product digits of an NDC (the first 9 of its 11 digits, 21 CFR 207.33), as
// ndc9_to_drugbank.csv has them. Returns every reading of `text`:
//   11 digits                                   00073458001 -> 000734580
//   hyphens between the segments                73-4580-01 -> 000734580
//   a number that lost its leading zeros        73458001, 73458001.0, 7.3458001E7 -> 000734580
//   10 digits without hyphens, where a zero may be missing in front, in the middle (5-3-2) or
//   before the last (5-4-1)                     1234567890 -> 012345678, 123450678, 123456789
// Returns nothing if the text is no NDC, if it is 0, or if an exponent has cut digits off.
std::vector<std::string> NdcReadings(std::string_view text);

// True for "" and for the words that programs write for a missing value: nan, NULL, #N/A.
bool IsMissing(std::string_view text);

// True if the text stands for no NDC: missing, or zeros.
bool IsNoNdc(std::string_view text);

// Returns the 9 digits of a key of ndc9_to_drugbank.csv: 734580, 00073-4580, 734580.0 -> 000734580;
// nothing for another text.
std::optional<std::string> Ndc9OfKey(std::string_view text);

enum class CodeKind { kDiagnosis, kProcedure };

// Returns ICD-9 codes, all of one table's column, as MIMIC writes them: upper case, without dot or
// blanks. The dot of a code with a letter is always one of the code's own: V45.81 -> V4581, V10.0
// -> V100. Of the others, a column tells by all its codes what a dot means:
//   some dot is followed by another digit than 0, or stands behind a zero in front, or in a code
//   with a letter: the codes are written with dots.   401.9 -> 4019, 38.9 -> 0389, 96.04 -> 9604
//   some code has more digits before its dot than a code written with dots can have: the codes
//   went through a table of numbers.                                           4019.0 -> 4019
// A code that can be read either way stays as it is: one such as 401.0 if the column tells nothing
// or both, and one such as 250.0, which may have been 250.00, if the column has lost zeros.
std::vector<std::string> CanonicalIcd9(CodeKind kind, const std::vector<std::string>& codes);

// An ICD-10 code has this in front, since its version is a part of it: V10 is a code of both.
inline constexpr std::string_view kIcd10 = "ICD10:";

// Returns an ICD-10 code, kIcd10 in front, in upper case and without its dot or blanks:
// "ICD10:i50.9 " -> "ICD10:I509".
std::string CanonicalIcd10(std::string_view code);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_CODES_H_
