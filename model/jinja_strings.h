// Python's string functions on text with origins: what is kept keeps its
// origin, what is put in brings its own.
#ifndef TANDEM_MODEL_JINJA_STRINGS_H_
#define TANDEM_MODEL_JINJA_STRINGS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/jinja_text.h"

namespace tandem::jinja {

enum class Side { kLeft, kRight, kBoth };

// strip(), lstrip(), rstrip(): of whitespace, or of the code points in `chars`.
Text Strip(const Text& text, Side side);
Text Strip(const Text& text, std::string_view chars, Side side);

// split() and rsplit(): at runs of whitespace, or at each `separator`, at most
// `limit` times (negative: no limit). REQUIRES: separator is not empty.
std::vector<Text> SplitWhitespace(const Text& text, int64_t limit);
std::vector<Text> Split(const Text& text, std::string_view separator,
                        int64_t limit);
std::vector<Text> SplitFromRight(const Text& text, std::string_view separator,
                                 int64_t limit);
// splitlines().
std::vector<Text> SplitLines(const Text& text, bool keep_ends);

// replace(): at most `limit` times (negative: no limit). REQUIRES: old is not
// empty.
Text Replace(const Text& text, std::string_view old, const Text& with,
             int64_t limit);

enum class LetterCase {
  kUpper,
  kLower,
  kCapitalized,  // capitalize()
  kTitle,        // str.title()
  kTitleFilter   // Jinja's |title, which has its own idea of a word
};
// InvalidArgument for text that is not ASCII: Unicode's rules are not here.
StatusOr<Text> ChangeCase(const Text& text, LetterCase letter_case);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_STRINGS_H_
