#include "model/trie_attention.h"

#include <gtest/gtest.h>

#include "common/random.h"
#include "model/aten.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

// Two sequences with five tokens in common: each path computes what that
// sequence alone would.
TEST(TrieAttention, OfAPathIsThatOfItsSequence) {
  TokenTrie trie;
  const std::vector<int64_t> paths[] = {trie.Insert({1, 2, 3, 4, 5, 6, 7, 8}),
                                        trie.Insert({1, 2, 3, 4, 5, 9, 9})};
  SeededRandom random(1);
  const at::Tensor query = testing::RandomTensor(random, {trie.size(), 32}, 1);
  const at::Tensor key = testing::RandomTensor(random, {trie.size(), 16}, 1);
  const at::Tensor value = testing::RandomTensor(random, {trie.size(), 16}, 1);
  TrieAttention attention({&trie});
  for (const AttentionOptions& options :
       {AttentionOptions{}, AttentionOptions{.scale = 0.7, .window = 3}}) {
    const at::Tensor all = attention(query, key, value, 8, options);
    for (const std::vector<int64_t>& path : paths) {
      const at::Tensor rows = at::tensor(path, at::kLong);
      const auto of = [&](const at::Tensor& x) {
        return x.index_select(0, rows);
      };
      const at::Tensor alone = CausalAttention(of(query), of(key), of(value),
                                               {0, rows.size(0)}, 8, options);
      EXPECT_LT((of(all) - alone).abs().max().item<float>(), 1e-5);
    }
  }
}

}  // namespace
}  // namespace tandem
