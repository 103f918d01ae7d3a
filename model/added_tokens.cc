#include "model/added_tokens.h"

namespace tandem {

void AddedTokens::Split(std::string_view text,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<void(int32_t)>& on_token) const {
  if (is_empty_ && !text.empty()) return on_text(text);
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    size_t longest = 0;
    int32_t found = 0;
    trie_.ForEachAt(text, at, [&](size_t bytes, int32_t id) {
      longest = bytes;
      found = id;
    });
    if (longest == 0) {
      ++at;
      continue;
    }
    if (at > done) on_text(text.substr(done, at - done));
    on_token(found);
    done = at += longest;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace tandem
