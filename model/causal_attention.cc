#include "model/causal_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "model/aten.h"
#include "model/blocked_attention.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A block of queries as wide as the window reads twice the window's keys: half
// of the scores are of use. Narrower blocks waste fewer, but each is a call.
constexpr int64_t kLeastQueryBlock = 64;

// Rows [from, to) of x [tokens, heads * head_size] as [1, heads, n, head_size].
at::Tensor HeadsOf(const at::Tensor& x, int64_t from, int64_t to,
                   int64_t head_size) {
  return x.narrow(0, from, to - from)
      .view({1, to - from, -1, head_size})
      .transpose(1, 2);
}

// Queries [from, to) and the keys [first_key, to) that they see. Causal alone,
// unless a window keeps some of these keys from some of these queries.
struct FlashBlock {
  int64_t from, to, first_key;
  bool windowed;
};

std::vector<FlashBlock> FlashBlocks(const std::vector<int64_t>& offsets,
                                    int64_t window) {
  std::vector<FlashBlock> blocks;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t start = offsets[i], end = offsets[i + 1];
    if (window == 0 || end - start <= window) {
      if (start < end) blocks.push_back({start, end, start, false});
      continue;
    }
    const int64_t size = std::max(window, kLeastQueryBlock);
    for (int64_t from = start; from < end; from += size) {
      blocks.push_back({from, std::min(from + size, end),
                        std::max(start, from - window + 1), true});
    }
  }
  return blocks;
}

double ScaleOf(const AttentionOptions& options, int64_t head_size) {
  return options.scale > 0 ? options.scale
                           : 1 / std::sqrt(static_cast<double>(head_size));
}

// True where query i, which stands `lead` positions after key 0, may not see
// key j: [queries, keys].
at::Tensor Hidden(int64_t queries, int64_t keys, int64_t lead, int64_t window) {
  const at::Tensor all = at::ones({queries, keys}, at::kBool);
  const at::Tensor future = all.triu(lead + 1);
  return window == 0 ? future : future.logical_or_(all.tril(lead - window));
}

// What flash attention adds to the scores of a block; undefined: it is causal.
std::optional<at::Tensor> MaskOf(const FlashBlock& block, int64_t window,
                                 at::ScalarType dtype) {
  if (!block.windowed) return std::nullopt;
  const int64_t queries = block.to - block.from;
  const int64_t keys = block.to - block.first_key;
  return at::zeros({queries, keys}, dtype)
      .masked_fill_(Hidden(queries, keys, block.from - block.first_key, window),
                    -std::numeric_limits<double>::infinity());
}

// Saved for the backward pass: query, key, value, output, then log-sum-exps by
// block.
class CausalAttentionFunction
    : public torch::autograd::Function<CausalAttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value,
                            const std::vector<int64_t>& offsets,
                            int64_t head_size, double scale, int64_t window) {
    const at::Tensor q = query.contiguous(), k = key.contiguous(),
                     v = value.contiguous();
    ctx->saved_data["offsets"] = offsets;
    ctx->saved_data["head_size"] = head_size;
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["window"] = window;
    if (BlocksAttention(q, head_size)) {
      const AttentionResult result =
          BlockedAttention(q, k, v, {offsets, head_size, scale, window});
      ctx->save_for_backward({q, k, v, result.output, result.log_sum_exp});
      return result.output;
    }
    at::Tensor output = at::empty_like(q);
    variable_list saved = {q, k, v, output};
    for (const FlashBlock& block : FlashBlocks(offsets, window)) {
      auto [rows, log_sum_exp] =
          at::_scaled_dot_product_flash_attention_for_cpu(
              HeadsOf(q, block.from, block.to, head_size),
              HeadsOf(k, block.first_key, block.to, head_size),
              HeadsOf(v, block.first_key, block.to, head_size),
              /*dropout_p=*/0, /*is_causal=*/!block.windowed,
              MaskOf(block, window, q.scalar_type()), scale);
      HeadsOf(output, block.from, block.to, head_size).copy_(rows);
      saved.push_back(log_sum_exp);
    }
    ctx->save_for_backward(saved);
    return output;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const AttentionPlan plan = {ctx->saved_data["offsets"].toIntVector(),
                                ctx->saved_data["head_size"].toInt(),
                                ctx->saved_data["scale"].toDouble(),
                                ctx->saved_data["window"].toInt()};
    const at::Tensor grad = grads[0].contiguous();
    const AttentionGradients result =
        BlocksAttention(saved[0], plan.head_size)
            ? BlockedAttentionBackward(grad, saved[0], saved[1], saved[2],
                                       {saved[3], saved[4]}, plan)
            : FlashGradients(grad, saved, plan);
    variable_list all(7);
    all[0] = result.query;
    all[1] = result.key;
    all[2] = result.value;
    return all;
  }

 private:
  static AttentionGradients FlashGradients(const at::Tensor& grad,
                                           const variable_list& saved,
                                           const AttentionPlan& plan) {
    // Blocks share keys: their gradients are summed.
    AttentionGradients result = {at::empty_like(saved[0]),
                                 at::zeros_like(saved[1]),
                                 at::zeros_like(saved[2])};
    size_t next = 4;
    for (const FlashBlock& block : FlashBlocks(plan.offsets, plan.window)) {
      const auto queries = [&](const at::Tensor& x) {
        return HeadsOf(x, block.from, block.to, plan.head_size);
      };
      const auto keys = [&](const at::Tensor& x) {
        return HeadsOf(x, block.first_key, block.to, plan.head_size);
      };
      auto [dq, dk, dv] =
          at::_scaled_dot_product_flash_attention_for_cpu_backward(
              queries(grad), queries(saved[0]), keys(saved[1]), keys(saved[2]),
              queries(saved[3]), saved[next++], /*dropout_p=*/0,
              /*is_causal=*/!block.windowed,
              MaskOf(block, plan.window, grad.scalar_type()), plan.scale);
      queries(result.query).copy_(dq);
      keys(result.key).add_(dk);
      keys(result.value).add_(dv);
    }
    return result;
  }
};

}  // namespace

at::Tensor CausalAttention(const at::Tensor& query, const at::Tensor& key,
                           const at::Tensor& value,
                           const std::vector<int64_t>& document_offsets,
                           int64_t head_size, const AttentionOptions& options) {
  return CausalAttentionFunction::apply(query, key, value, document_offsets,
                                        head_size, ScaleOf(options, head_size),
                                        options.window);
}

at::Tensor CachedAttention(const at::Tensor& query, const at::Tensor& all_keys,
                           const at::Tensor& all_values,
                           const AttentionOptions& options) {
  const int64_t n = query.size(0), kv_heads = all_keys.size(0),
                head_size = all_keys.size(2);
  const int64_t length =
      options.window == 0 ? all_keys.size(1)
                          : std::min(all_keys.size(1), n + options.window - 1);
  const int64_t first = all_keys.size(1) - length;
  const at::Tensor keys = all_keys.narrow(1, first, length),
                   values = all_values.narrow(1, first, length);
  const int64_t group = query.size(1) / (kv_heads * head_size);
  // [kv_heads, n * group, head_size]
  const at::Tensor q = query.view({n, kv_heads, group, head_size})
                           .transpose(0, 1)
                           .reshape({kv_heads, n * group, head_size});
  at::Tensor scores = at::bmm(q, keys.transpose(1, 2))
                          .to(at::kFloat)
                          .mul_(ScaleOf(options, head_size));
  if (n > 1) {
    scores.view({kv_heads, n, group, length})
        .masked_fill_(
            Hidden(n, length, length - n, options.window).unsqueeze(1),
            -std::numeric_limits<float>::infinity());
  }
  const at::Tensor weights = at::softmax(scores, -1).to(query.scalar_type());
  return at::bmm(weights, values)
      .view({kv_heads, n, group, head_size})
      .transpose(0, 1)
      .reshape({n, kv_heads * group * head_size});
}

}  // namespace tandem
