// Tokens that are found in text as they stand, before it is cut into pieces.
#ifndef TANDEM_MODEL_ADDED_TOKENS_H_
#define TANDEM_MODEL_ADDED_TOKENS_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "model/prefix_trie.h"

namespace tandem {

class AddedTokens {
 public:
  // REQUIRES: text is not empty.
  void Add(std::string_view text, int32_t id) {
    trie_.Add(text, id);
    is_empty_ = false;
  }

  // Walks through `text` from left to right; where several tokens start, the
  // longest counts. Calls on_text for what lies between (never empty).
  void Split(std::string_view text,
             const std::function<void(std::string_view)>& on_text,
             const std::function<void(int32_t)>& on_token) const;

 private:
  bool is_empty_ = true;
  PrefixTrie trie_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_ADDED_TOKENS_H_
