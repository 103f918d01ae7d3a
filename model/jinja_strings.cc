#include "model/jinja_strings.h"

#include <algorithm>

#include "model/utf8.h"

namespace tandem::jinja {
namespace {

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
char ToUpper(char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; }
char ToLower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

// Each code point of `chars` by itself.
std::vector<std::string_view> Characters(std::string_view chars) {
  const std::vector<size_t> starts = CodePointStarts(chars);
  std::vector<std::string_view> characters;
  characters.reserve(starts.size());
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    characters.push_back(chars.substr(starts[i], starts[i + 1] - starts[i]));
  }
  return characters;
}

// Whether a word begins after `before`, for each of the two titles.
bool BeginsWord(char before, LetterCase letter_case) {
  if (letter_case == LetterCase::kTitle) return !IsLetter(before);
  return IsWhitespace(static_cast<unsigned char>(before)) ||
         std::string_view("-({[<").find(before) != std::string_view::npos;
}

// The bytes of the line break at text[at], 0 where there is none.
size_t LineBreakBytes(std::string_view text, size_t at) {
  if (text.substr(at).starts_with("\r\n")) return 2;
  const CodePoint point = DecodeUtf8(text, at);
  const char32_t c = point.value;
  const bool breaks = (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) ||
                      c == 0x85 || c == 0x2028 || c == 0x2029;
  return breaks ? point.bytes : 0;
}

}  // namespace

Text Strip(const Text& text, Side side) {
  const std::string_view bytes = text.bytes();
  const size_t begin = side == Side::kRight ? 0 : LeadingWhitespace(bytes);
  if (begin == bytes.size()) return Text();
  const size_t cut = side == Side::kLeft ? 0 : TrailingWhitespace(bytes);
  return text.Slice(begin, bytes.size() - cut);
}

Text Strip(const Text& text, std::string_view chars, Side side) {
  const std::vector<std::string_view> characters = Characters(chars);
  std::string_view rest = text.bytes();
  size_t begin = 0;
  bool found = side != Side::kRight;
  while (found) {
    found = false;
    for (std::string_view c : characters) {
      if (!rest.starts_with(c)) continue;
      found = true;
      begin += c.size();
      rest.remove_prefix(c.size());
    }
  }
  found = side != Side::kLeft;
  while (found) {
    found = false;
    for (std::string_view c : characters) {
      if (!rest.ends_with(c)) continue;
      found = true;
      rest.remove_suffix(c.size());
    }
  }
  return text.Slice(begin, begin + rest.size());
}

std::vector<Text> SplitWhitespace(const Text& text, int64_t limit) {
  std::vector<Text> parts;
  const std::string_view bytes = text.bytes();
  size_t at = LeadingWhitespace(bytes);
  while (at < bytes.size()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text.Slice(at, bytes.size()));
      break;
    }
    const size_t begin = at;
    while (at < bytes.size() && LeadingWhitespace(bytes.substr(at, 4)) == 0) {
      at += DecodeUtf8(bytes, at).bytes;
    }
    parts.push_back(text.Slice(begin, at));
    at += LeadingWhitespace(bytes.substr(at));
  }
  return parts;
}

std::vector<Text> Split(const Text& text, std::string_view separator,
                        int64_t limit) {
  std::vector<Text> parts;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = text.bytes().find(separator, begin);
    if (at == std::string::npos) break;
    parts.push_back(text.Slice(begin, at));
    begin = at + separator.size();
  }
  parts.push_back(text.Slice(begin, text.size()));
  return parts;
}

std::vector<Text> SplitFromRight(const Text& text, std::string_view separator,
                                 int64_t limit) {
  std::vector<Text> parts;
  std::string_view rest = text.bytes();
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = rest.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.Slice(at + separator.size(), rest.size()));
    rest = rest.substr(0, at);
  }
  parts.push_back(text.Slice(0, rest.size()));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> SplitLines(const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t line_break = LineBreakBytes(bytes, at);
    if (line_break == 0) {
      at += DecodeUtf8(bytes, at).bytes;
      continue;
    }
    lines.push_back(text.Slice(begin, keep_ends ? at + line_break : at));
    begin = at += line_break;
  }
  if (begin < bytes.size()) lines.push_back(text.Slice(begin, bytes.size()));
  return lines;
}

Text Replace(const Text& text, std::string_view old, const Text& with,
             int64_t limit) {
  Text replaced;
  size_t begin = 0;
  for (int64_t i = 0; limit < 0 || i < limit; ++i) {
    const size_t at = text.bytes().find(old, begin);
    if (at == std::string::npos) break;
    replaced.Append(text.Slice(begin, at));
    replaced.Append(with);
    begin = at + old.size();
  }
  replaced.Append(text.Slice(begin, text.size()));
  return replaced;
}

StatusOr<Text> ChangeCase(const Text& text, LetterCase letter_case) {
  if (!IsAscii(text.bytes())) {
    return InvalidArgument(
        "changing the case of '{}', which is not ASCII, is not supported",
        text.bytes().substr(0, 40));
  }
  if (letter_case == LetterCase::kUpper) return text.WithBytes(ToUpper);
  const Text lower = text.WithBytes(ToLower);
  if (letter_case == LetterCase::kLower) return lower;
  const Text upper = text.WithBytes(ToUpper);
  Text changed;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begins =
        i == 0 || (letter_case != LetterCase::kCapitalized &&
                   BeginsWord(text.bytes()[i - 1], letter_case));
    changed.Append((begins ? upper : lower).Slice(i, i + 1));
  }
  return changed;
}

}  // namespace tandem::jinja
