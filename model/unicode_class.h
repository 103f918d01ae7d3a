// The classes of code points that pre-tokenizers tell apart.
#ifndef TANDEM_MODEL_UNICODE_CLASS_H_
#define TANDEM_MODEL_UNICODE_CLASS_H_

#include <cstdint>

namespace tandem {

// \p{L}, \p{N}, \s, and what is none of them. White space is what Unicode's
// property says: U+180E, which some regular expressions take, is none.
enum class UnicodeClass : uint8_t { kLetter, kNumber, kSpace, kOther };

// REQUIRES: code_point is a Unicode scalar value.
UnicodeClass ClassOf(char32_t code_point);

}  // namespace tandem

#endif  // TANDEM_MODEL_UNICODE_CLASS_H_
