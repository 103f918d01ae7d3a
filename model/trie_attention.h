// Attention over token tries: each token sees itself and its ancestors.
#ifndef TANDEM_MODEL_TRIE_ATTENTION_H_
#define TANDEM_MODEL_TRIE_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/token_trie.h"

namespace tandem {

// Of some tries laid end to end; made once, used by every layer.
class TrieAttention {
 public:
  // REQUIRES: the tries outlive the object.
  explicit TrieAttention(const std::vector<const TokenTrie*>& tries);
  // softmax(q k^T / sqrt(head_size)) v. query: [tokens, heads * head_size];
  // key, value: [tokens, key_value_heads * head_size]. Returns [tokens, heads *
  // head_size]. Not differentiable.
  at::Tensor operator()(const at::Tensor& query, const at::Tensor& key,
                        const at::Tensor& value, int64_t head_size) const;

 private:
  std::vector<int64_t> offsets_;
  // Per trie: [tokens, tokens] fp32, zero where the row sees the column, else
  // minus infinity.
  std::vector<at::Tensor> masks_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TRIE_ATTENTION_H_
