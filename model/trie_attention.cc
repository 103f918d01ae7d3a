#include "model/trie_attention.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "model/aten.h"

namespace tandem {
namespace {

constexpr float kHidden = -std::numeric_limits<float>::infinity();

at::Tensor AncestorMask(const TokenTrie& trie) {
  const int64_t n = trie.size();
  at::Tensor mask = at::full({n, n}, kHidden, at::kFloat);
  float* rows = mask.mutable_data_ptr<float>();
  for (int64_t node = 0; node < n; ++node) {
    const int64_t parent = trie.parents()[node];
    float* row = rows + node * n;
    // What the parent sees; it lies before the node, and so do its ancestors.
    if (parent >= 0) std::copy_n(rows + parent * n, parent + 1, row);
    row[node] = 0;
  }
  return mask;
}

// Hides what is `window` tokens or more before the row's.
void HidePastWindow(const TokenTrie& trie, int64_t window, at::Tensor& mask) {
  const int64_t n = trie.size();
  float* rows = mask.mutable_data_ptr<float>();
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < row; ++column)
      if (trie.positions()[row] - trie.positions()[column] >= window)
        rows[row * n + column] = kHidden;
}

// Rows [from, to) of x [tokens, heads * head_size] as [1, heads, n, head_size].
at::Tensor TrieRows(const at::Tensor& x, int64_t from, int64_t to,
                    int64_t head_size) {
  return x.narrow(0, from, to - from)
      .view({1, to - from, -1, head_size})
      .transpose(1, 2);
}

}  // namespace

TrieAttention::TrieAttention(const std::vector<const TokenTrie*>& tries)
    : tries_(tries) {}

const std::vector<at::Tensor>& TrieAttention::Masks(int64_t window) {
  std::vector<at::Tensor>& masks = masks_[window];
  if (!masks.empty()) return masks;
  masks.reserve(tries_.size());
  for (const TokenTrie* trie : tries_) {
    masks.push_back(AncestorMask(*trie));
    if (window > 0) HidePastWindow(*trie, window, masks.back());
  }
  return masks;
}

at::Tensor TrieAttention::operator()(const at::Tensor& query,
                                     const at::Tensor& key,
                                     const at::Tensor& value, int64_t head_size,
                                     const AttentionOptions& options) {
  const at::Tensor q = query.contiguous(), k = key.contiguous(),
                   v = value.contiguous();
  const std::vector<at::Tensor>& masks = Masks(options.window);
  const std::optional<double> scale =
      options.scale == 0 ? std::nullopt : std::optional(options.scale);
  at::Tensor output = at::empty_like(q);
  int64_t from = 0;
  for (size_t i = 0; i < tries_.size(); ++i) {
    const int64_t to = from + tries_[i]->size();
    const auto part = [&](const at::Tensor& x) {
      return TrieRows(x, from, to, head_size);
    };
    const auto [rows, unused] = at::_scaled_dot_product_flash_attention_for_cpu(
        part(q), part(k), part(v), /*dropout_p=*/0, /*is_causal=*/false,
        masks[i], scale);
    part(output).copy_(rows);
    from = to;
  }
  return output;
}

}  // namespace tandem
