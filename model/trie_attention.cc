#include "model/trie_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace tandem {
namespace {

at::Tensor AncestorMask(const TokenTrie& trie) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
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

// Rows [from, to) of x [tokens, heads * head_size] as [1, heads, n, head_size].
at::Tensor TrieRows(const at::Tensor& x, int64_t from, int64_t to,
                    int64_t head_size) {
  return x.narrow(0, from, to - from)
      .view({1, to - from, -1, head_size})
      .transpose(1, 2);
}

}  // namespace

TrieAttention::TrieAttention(const std::vector<const TokenTrie*>& tries)
    : offsets_({0}) {
  masks_.reserve(tries.size());
  for (const TokenTrie* trie : tries) {
    offsets_.push_back(offsets_.back() + trie->size());
    masks_.push_back(AncestorMask(*trie));
  }
}

at::Tensor TrieAttention::operator()(const at::Tensor& query,
                                     const at::Tensor& key,
                                     const at::Tensor& value,
                                     int64_t head_size) const {
  const at::Tensor q = query.contiguous(), k = key.contiguous(),
                   v = value.contiguous();
  at::Tensor output = at::empty_like(q);
  for (size_t i = 0; i < masks_.size(); ++i) {
    const auto part = [&](const at::Tensor& x) {
      return TrieRows(x, offsets_[i], offsets_[i + 1], head_size);
    };
    const auto [rows, unused] = at::_scaled_dot_product_flash_attention_for_cpu(
        part(q), part(k), part(v), /*dropout_p=*/0, /*is_causal=*/false,
        masks_[i]);
    part(output).copy_(rows);
  }
  return output;
}

}  // namespace tandem
