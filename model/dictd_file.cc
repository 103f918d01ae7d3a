#include "model/dictd_file.h"

#include <cstdint>
#include <map>
#include <utility>

#include "common/files.h"
#include "model/gzip_file.h"
#include "model/utf8.h"

namespace tandem {
namespace {

// Ten times the largest dictionary that Debian carries.
constexpr int64_t kMaxTextBytes = int64_t{1} << 30;
constexpr size_t kMaxDigits = 10;

struct IndexLine {
  std::string_view headword;
  int64_t offset = 0;
  int64_t length = 0;
};

int DigitValue(char digit) {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

// Cuts `rest` at the next `separator` and returns what lay before it.
std::string_view NextField(std::string_view* rest, char separator) {
  const size_t end = rest->find(separator);
  const std::string_view field = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return field;
}

// A fourth field, the headword as it was before folding, may follow.
StatusOr<IndexLine> ParseIndexLine(std::string_view line, int64_t text_bytes) {
  IndexLine parsed;
  std::string_view rest = line;
  parsed.headword = NextField(&rest, '\t');
  const std::string_view offset = NextField(&rest, '\t');
  const std::string_view length = NextField(&rest, '\t');
  if (length.empty()) {
    return InvalidArgument(
        "expected headword, offset and length parted by tabs, got '{}'",
        ReplaceInvalidUtf8(line.substr(0, 80)));
  }
  TANDEM_ASSIGN_OR_RETURN(parsed.offset, ParseDictdNumber(offset));
  TANDEM_ASSIGN_OR_RETURN(parsed.length, ParseDictdNumber(length));
  if (parsed.offset > text_bytes ||
      parsed.length > text_bytes - parsed.offset) {
    return InvalidArgument(
        "{} bytes at offset {} pass the end of the text of {} bytes",
        parsed.length, parsed.offset, text_bytes);
  }
  return parsed;
}

bool DescribesDictionary(std::string_view headword) {
  return headword.starts_with("00-database") ||
         headword.starts_with("00database");
}

}  // namespace

StatusOr<int64_t> ParseDictdNumber(std::string_view digits) {
  if (digits.empty() || digits.size() > kMaxDigits) {
    return InvalidArgument("a number of {} base64 digits, expected 1 to {}",
                           digits.size(), kMaxDigits);
  }
  int64_t number = 0;
  for (char digit : digits) {
    const int value = DigitValue(digit);
    if (value < 0) {
      return InvalidArgument("'{}' is no base64 number",
                             ReplaceInvalidUtf8(digits));
    }
    number = number * 64 + value;
  }
  return number;
}

StatusOr<std::vector<DictdEntry>> ReadDictdFiles(
    const std::filesystem::path& index, const std::filesystem::path& text) {
  TANDEM_ASSIGN_OR_RETURN(const std::string lines, ReadFile(index));
  TANDEM_ASSIGN_OR_RETURN(const std::string bytes,
                          ReadGzipFile(text, kMaxTextBytes));
  std::map<std::pair<int64_t, int64_t>, DictdEntry> by_place;
  std::string_view rest = lines;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = NextField(&rest, '\n');
    const auto parsed =
        ParseIndexLine(line, static_cast<int64_t>(bytes.size()));
    if (!parsed.ok()) {
      return Annotate(parsed.status(),
                      fmt::format("{}:{}", index.string(), number));
    }
    if (DescribesDictionary(parsed->headword)) continue;
    by_place[{parsed->offset, parsed->length}].headwords.push_back(
        ReplaceInvalidUtf8(parsed->headword));
  }
  std::vector<DictdEntry> entries;
  for (auto& [place, entry] : by_place) {
    entry.text = ReplaceInvalidUtf8(
        std::string_view(bytes).substr(place.first, place.second));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace tandem
