#include "model/causal_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One document of x [tokens, heads * head_size] as [1, heads, n, head_size].
at::Tensor Document(const at::Tensor& x, int64_t from, int64_t to,
                    int64_t head_size) {
  return x.narrow(0, from, to - from)
      .view({1, to - from, -1, head_size})
      .transpose(1, 2);
}

// The inverse: [1, heads, n, head_size] into rows of `out`.
void StoreDocument(const at::Tensor& x, int64_t from, int64_t to,
                   int64_t head_size, at::Tensor& out) {
  Document(out, from, to, head_size).copy_(x);
}

// Saved for the backward pass: query, key, value, output, then log-sum-exps by
// document.
class CausalAttentionFunction
    : public torch::autograd::Function<CausalAttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value,
                            const std::vector<int64_t>& offsets,
                            int64_t head_size) {
    const at::Tensor q = query.contiguous(), k = key.contiguous(),
                     v = value.contiguous();
    at::Tensor output = at::empty_like(q);
    variable_list saved = {q, k, v, output};
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      const int64_t from = offsets[i], to = offsets[i + 1];
      if (from == to) continue;
      auto [rows, log_sum_exp] =
          at::_scaled_dot_product_flash_attention_for_cpu(
              Document(q, from, to, head_size),
              Document(k, from, to, head_size),
              Document(v, from, to, head_size), /*dropout_p=*/0,
              /*is_causal=*/true);
      StoreDocument(rows, from, to, head_size, output);
      saved.push_back(log_sum_exp);
    }
    ctx->save_for_backward(saved);
    ctx->saved_data["offsets"] = offsets;
    ctx->saved_data["head_size"] = head_size;
    return output;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const std::vector<int64_t> offsets =
        ctx->saved_data["offsets"].toIntVector();
    const int64_t head_size = ctx->saved_data["head_size"].toInt();
    const at::Tensor grad = grads[0].contiguous();
    variable_list result(5);
    for (int i = 0; i < 3; ++i) result[i] = at::empty_like(saved[i]);
    size_t next = 4;
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      const int64_t from = offsets[i], to = offsets[i + 1];
      if (from == to) continue;
      auto part = [&](const at::Tensor& x) {
        return Document(x, from, to, head_size);
      };
      auto [dq, dk, dv] =
          at::_scaled_dot_product_flash_attention_for_cpu_backward(
              part(grad), part(saved[0]), part(saved[1]), part(saved[2]),
              part(saved[3]), saved[next++], /*dropout_p=*/0,
              /*is_causal=*/true);
      StoreDocument(dq, from, to, head_size, result[0]);
      StoreDocument(dk, from, to, head_size, result[1]);
      StoreDocument(dv, from, to, head_size, result[2]);
    }
    return result;
  }
};

}  // namespace

at::Tensor CausalAttention(const at::Tensor& query, const at::Tensor& key,
                           const at::Tensor& value,
                           const std::vector<int64_t>& document_offsets,
                           int64_t head_size) {
  return CausalAttentionFunction::apply(query, key, value, document_offsets,
                                        head_size);
}

at::Tensor CachedAttention(const at::Tensor& query, const at::Tensor& keys,
                           const at::Tensor& values) {
  const int64_t kv_heads = keys.size(0), length = keys.size(1),
                head_size = keys.size(2);
  const int64_t n = query.size(0);
  const int64_t group = query.size(1) / (kv_heads * head_size);
  // [kv_heads, n * group, head_size]
  const at::Tensor q = query.view({n, kv_heads, group, head_size})
                           .transpose(0, 1)
                           .reshape({kv_heads, n * group, head_size});
  at::Tensor scores = at::bmm(q, keys.transpose(1, 2))
                          .to(at::kFloat)
                          .mul_(1 / std::sqrt(static_cast<double>(head_size)));
  if (n > 1) {
    const at::Tensor future =
        at::ones({n, length}, at::kBool).triu(length - n + 1);
    scores.view({kv_heads, n, group, length})
        .masked_fill_(future.unsqueeze(1),
                      -std::numeric_limits<float>::infinity());
  }
  const at::Tensor weights = at::softmax(scores, -1).to(query.scalar_type());
  return at::bmm(weights, values)
      .view({kv_heads, n, group, head_size})
      .transpose(0, 1)
      .reshape({n, kv_heads * group * head_size});
}

}  // namespace tandem
