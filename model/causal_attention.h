// Causal self-attention over packed documents, and over a cache of earlier keys
// and values.
#ifndef TANDEM_MODEL_CAUSAL_ATTENTION_H_
#define TANDEM_MODEL_CAUSAL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace tandem {

struct AttentionOptions {
  double scale = 0;    // of q k^T; 0: 1 / sqrt(head_size)
  int64_t window = 0;  // tokens that one sees, itself included; 0: all
};

// softmax(scale q k^T) v within each document, each token seeing itself and
// those before it, as far as the window reaches. query: [tokens, heads *
// head_size]; key, value: [tokens, key_value_heads * head_size]; head h reads
// key-value head h / (heads / key_value_heads). document_offsets as in
// PackedBatch. Returns [tokens, heads * head_size]. Differentiable in all
// three; [tokens, tokens] never exists (model/blocked_attention.h where that is
// faster, else LibTorch's flash attention; where a window is shorter than a
// document, on blocks of queries and the keys in their reach).
at::Tensor CausalAttention(const at::Tensor& query, const at::Tensor& key,
                           const at::Tensor& value,
                           const std::vector<int64_t>& document_offsets,
                           int64_t head_size,
                           const AttentionOptions& options = {});

// The same for the last n tokens of one sequence whose keys and values are all
// there. query: [n, heads * head_size]; keys, values: [key_value_heads, length,
// head_size], length >= n. Not differentiable.
at::Tensor CachedAttention(const at::Tensor& query, const at::Tensor& keys,
                           const at::Tensor& values,
                           const AttentionOptions& options = {});

}  // namespace tandem

#endif  // TANDEM_MODEL_CAUSAL_ATTENTION_H_
