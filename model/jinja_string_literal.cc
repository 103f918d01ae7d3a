#include "model/jinja_string_literal.h"

#include <algorithm>
#include <charconv>

#include "model/utf8.h"

namespace tandem::jinja {
namespace {

// Appends the code point of `digits`.
Status AppendNumber(std::string_view digits, int base, std::string* text) {
  uint32_t code = 0;
  const char* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, code, base);
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  if (read.ec != std::errc() || read.ptr != end || code > 0x10ffff ||
      is_surrogate) {
    return InvalidArgument("escape of '{}' is no character", digits);
  }
  AppendUtf8(code, text);
  return OkStatus();
}

size_t HexDigits(char letter) {
  return letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
}

// The escape after a backslash, which begins at literal[at]; moves `at` past
// it.
Status ReadEscape(std::string_view literal, size_t* at, std::string* text) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  const char letter = literal[*at];
  if (const size_t known = kLetters.find(letter); known != kLetters.npos) {
    *text += kMeanings[known];
    ++*at;
    return OkStatus();
  }
  if (const size_t digits = HexDigits(letter)) {
    const std::string_view number = literal.substr(*at + 1, digits);
    *at += 1 + number.size();
    if (number.size() == digits) return AppendNumber(number, 16, text);
    return InvalidArgument("escape '\\{}' is cut short", letter);
  }
  if (letter >= '0' && letter <= '7') {
    size_t end = *at;
    while (end < std::min(*at + 3, literal.size()) && literal[end] >= '0' &&
           literal[end] <= '7') {
      ++end;
    }
    const std::string_view number = literal.substr(*at, end - *at);
    *at = end;
    return AppendNumber(number, 8, text);
  }
  if (letter == 'N') return InvalidArgument("escape '\\N' is not supported");
  ++*at;
  if (letter == '\n') return OkStatus();  // a continued line
  *text += '\\';
  *text += letter;
  return OkStatus();
}

}  // namespace

StatusOr<std::string> ReadEscapes(std::string_view literal) {
  std::string text;
  for (size_t at = 0; at < literal.size();) {
    if (literal[at] != '\\' || at + 1 == literal.size()) {
      text += literal[at++];
      continue;
    }
    ++at;
    TANDEM_RETURN_IF_ERROR(ReadEscape(literal, &at, &text));
  }
  return text;
}

}  // namespace tandem::jinja
