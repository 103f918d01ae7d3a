// Tokens, looked at one by one.
#ifndef TANDEM_MODEL_JINJA_TOKEN_STREAM_H_
#define TANDEM_MODEL_JINJA_TOKEN_STREAM_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.h"
#include "model/jinja_lexer.h"

namespace tandem::jinja {

class TokenStream {
 public:
  // REQUIRES: the last token is kEnd.
  explicit TokenStream(std::vector<Token> tokens)
      : tokens_(std::move(tokens)) {}

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  // The last token comes again and again.
  const Token& Next() {
    const Token& token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool Is(TokenKind kind) const { return Peek().kind == kind; }
  bool IsName(std::string_view name) const {
    return Is(TokenKind::kName) && Peek().text == name;
  }
  bool IsOperator(std::string_view symbol) const {
    return Is(TokenKind::kOperator) && Peek().text == symbol;
  }
  // Takes the token if it is the one.
  bool TakeName(std::string_view name) { return TakeIf(IsName(name)); }
  bool TakeOperator(std::string_view symbol) {
    return TakeIf(IsOperator(symbol));
  }

  Status ExpectOperator(std::string_view symbol) {
    return TakeOperator(symbol) ? OkStatus() : Unexpected(symbol);
  }
  Status ExpectName(std::string_view name) {
    return TakeName(name) ? OkStatus() : Unexpected(name);
  }
  Status Expect(TokenKind kind, std::string_view what) {
    return TakeIf(Is(kind)) ? OkStatus() : Unexpected(what);
  }
  StatusOr<std::string> TakeAnyName() {
    if (!Is(TokenKind::kName)) return Unexpected("a name");
    return Next().text;
  }
  Status Unexpected(std::string_view expected) const {
    return InvalidArgument("expected {}, got '{}'", expected, Peek().text);
  }

 private:
  bool TakeIf(bool condition) {
    if (condition) Next();
    return condition;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_TOKEN_STREAM_H_
