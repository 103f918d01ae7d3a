#include "model/example_targets.h"

#include <algorithm>

namespace tandem {

int64_t CutTail(const Tokenizer& tokenizer, int64_t max_tokens,
                TokenizedExample& example) {
  const size_t kept = static_cast<size_t>(std::max<int64_t>(max_tokens, 0));
  if (kept >= example.tokens.size()) return 0;
  for (size_t i = kept; i < example.tokens.size(); ++i) {
    if (!example.is_target[i]) continue;
    example.target_bytes -=
        static_cast<int64_t>(tokenizer.TokenText(example.tokens[i]).size());
  }
  const size_t cut = example.tokens.size() - kept;
  example.tokens.resize(kept);
  example.is_target.resize(kept);
  return static_cast<int64_t>(cut);
}

bool HasTarget(const TokenizedExample& example) {
  return std::find(example.is_target.begin(), example.is_target.end(), 1) !=
         example.is_target.end();
}

}  // namespace tandem
