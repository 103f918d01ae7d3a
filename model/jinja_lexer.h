// Template source to tokens, with Jinja's rules of white space as transformers
// sets them: trim_blocks, lstrip_blocks, one line feed at the end dropped.
#ifndef TANDEM_MODEL_JINJA_LEXER_H_
#define TANDEM_MODEL_JINJA_LEXER_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tandem::jinja {

enum class TokenKind {
  kText,         // outside of tags, ready to be written
  kOutputBegin,  // {{
  kOutputEnd,    // }}
  kBlockBegin,   // {%
  kBlockEnd,     // %}
  kName,
  kString,  // without quotes, escapes read
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  int line = 1;  // from 1
};

// Comments are left out; the last token is kEnd. InvalidArgument names the line
// of what cannot be read.
StatusOr<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_LEXER_H_
