// Tokens that are found in text as they stand, before it is cut into pieces.
#ifndef TANDEM_MODEL_ADDED_TOKENS_H_
#define TANDEM_MODEL_ADDED_TOKENS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

class AddedTokens {
 public:
  // REQUIRES: text is not empty.
  void Add(std::string text, int32_t id);

  // Walks through `text` from left to right; where several tokens start, the
  // longest counts. Calls on_text for what lies between (never empty).
  void Split(std::string_view text,
             const std::function<void(std::string_view)>& on_text,
             const std::function<void(int32_t)>& on_token) const;

 private:
  struct Token {
    std::string text;
    int32_t id;
  };
  // The longest token that starts at text[at], or null.
  const Token* Match(std::string_view text, size_t at) const;

  std::vector<Token> by_first_byte_[256];  // each: the longest first
};

}  // namespace tandem

#endif  // TANDEM_MODEL_ADDED_TOKENS_H_
