// Attention over token tries: each token sees itself and its ancestors.
#ifndef TANDEM_MODEL_TRIE_ATTENTION_H_
#define TANDEM_MODEL_TRIE_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

#include "model/causal_attention.h"
#include "model/token_trie.h"

namespace tandem {

// Of some tries laid end to end; made once, used by every layer.
class TrieAttention {
 public:
  // REQUIRES: the tries outlive the object.
  explicit TrieAttention(const std::vector<const TokenTrie*>& tries);
  // softmax(scale q k^T) v, as far as the window reaches (see
  // causal_attention.h). query: [tokens, heads * head_size]; key, value:
  // [tokens, key_value_heads * head_size]. Returns [tokens, heads * head_size].
  // Not differentiable.
  at::Tensor operator()(const at::Tensor& query, const at::Tensor& key,
                        const at::Tensor& value, int64_t head_size,
                        const AttentionOptions& options);

 private:
  // Per trie: [tokens, tokens] fp32, zero where the row sees the column, else
  // minus infinity. Made once for each window.
  const std::vector<at::Tensor>& Masks(int64_t window);

  std::vector<const TokenTrie*> tries_;
  std::map<int64_t, std::vector<at::Tensor>> masks_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TRIE_ATTENTION_H_
