#include "model/added_tokens.h"

#include <algorithm>
#include <utility>

namespace tandem {

void AddedTokens::Add(std::string text, int32_t id) {
  std::vector<Token>& bucket =
      by_first_byte_[static_cast<unsigned char>(text.front())];
  const auto shorter = std::find_if(
      bucket.begin(), bucket.end(),
      [&](const Token& token) { return token.text.size() < text.size(); });
  bucket.insert(shorter, {std::move(text), id});
}

const AddedTokens::Token* AddedTokens::Match(std::string_view text,
                                             size_t at) const {
  for (const Token& token :
       by_first_byte_[static_cast<unsigned char>(text[at])]) {
    if (text.substr(at).starts_with(token.text)) return &token;
  }
  return nullptr;
}

void AddedTokens::Split(std::string_view text,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<void(int32_t)>& on_token) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const Token* token = Match(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    if (at > done) on_text(text.substr(done, at - done));
    on_token(token->id);
    done = at += token->text.size();
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace tandem
