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

// REQUIRES: code_point is a Unicode scalar value.
void AppendUtf8(char32_t code_point, std::string* text);

}  // namespace tandem

#endif  // TANDEM_MODEL_UTF8_H_
