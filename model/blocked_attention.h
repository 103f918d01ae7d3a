// Causal attention in fp32 on AVX2, by blocks of queries whose scores stay in
// the cache: what FlashAttention-2 (Dao, 2023) computes, without its online
// softmax, since a row of scores fits.
#ifndef TANDEM_MODEL_BLOCKED_ATTENTION_H_
#define TANDEM_MODEL_BLOCKED_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace tandem {

// Which tokens see which, as in model/causal_attention.h.
struct AttentionPlan {
  std::vector<int64_t> offsets;  // of documents
  int64_t head_size;
  double scale;
  int64_t window;  // 0: all
};

// True where this is faster than LibTorch's: fp32, AVX2 without AVX-512, heads
// of whole panels.
bool BlocksAttention(const at::Tensor& query, int64_t head_size);

struct AttentionResult {
  at::Tensor output;       // [tokens, heads * head_size]
  at::Tensor log_sum_exp;  // [heads, tokens], of the scaled scores
};

// query [tokens, heads * head_size]; key, value [tokens, key_value_heads *
// head_size]; all contiguous.
AttentionResult BlockedAttention(const at::Tensor& query, const at::Tensor& key,
                                 const at::Tensor& value,
                                 const AttentionPlan& plan);

struct AttentionGradients {
  at::Tensor query, key, value;
};

// `grad`: of result.output, contiguous.
AttentionGradients BlockedAttentionBackward(const at::Tensor& grad,
                                            const at::Tensor& query,
                                            const at::Tensor& key,
                                            const at::Tensor& value,
                                            const AttentionResult& result,
                                            const AttentionPlan& plan);

}  // namespace tandem

#endif  // TANDEM_MODEL_BLOCKED_ATTENTION_H_
