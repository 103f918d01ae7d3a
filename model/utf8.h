// UTF-8, read the way that Unicode recommends and Python's
// bytes.decode("utf-8", "replace") does.
#ifndef TANDEM_MODEL_UTF8_H_
#define TANDEM_MODEL_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace tandem {

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 0;   // that it takes in the text
  bool valid = true;  // else value is U+FFFD
};

// The code point at text[at]. What is no UTF-8 reads as one U+FFFD per maximal
// subpart (The Unicode Standard, 3.9, table 3-8). REQUIRES: at < text.size().
CodePoint DecodeUtf8(std::string_view text, size_t at);

// `text` with U+FFFD for what is no UTF-8. The result is always valid.
std::string ReplaceInvalidUtf8(std::string_view text);

// The same without any check. REQUIRES: a code point of valid UTF-8 is there.
inline CodePoint DecodeValidUtf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[at + i]);
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const char32_t second = byte(1) & 0x3F;
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | second, 2};
  const char32_t third = byte(2) & 0x3F;
  if (lead < 0xF0) return {(lead & 0xF) << 12 | second << 6 | third, 3};
  const char32_t fourth = byte(3) & 0x3F;
  return {(lead & 7) << 18 | second << 12 | third << 6 | fourth, 4};
}

// `text` itself where it is valid, else *storage, which becomes
// ReplaceInvalidUtf8(text).
std::string_view AsValidUtf8(std::string_view text, std::string* storage);

// The bytes of `text` without the sequence at its end that is cut short but may
// yet become a code point: at most three bytes less than all.
size_t CompleteUtf8Bytes(std::string_view text);

// REQUIRES: code_point is a Unicode scalar value.
void AppendUtf8(char32_t code_point, std::string* text);

}  // namespace tandem

#endif  // TANDEM_MODEL_UTF8_H_
