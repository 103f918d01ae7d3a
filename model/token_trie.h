// Token sequences laid out so that a beginning they share is there once.
#ifndef TANDEM_MODEL_TOKEN_TRIE_H_
#define TANDEM_MODEL_TOKEN_TRIE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace tandem {

// A tree of tokens in which every sequence is a path from the root. Node i
// stands before its children; a decoder that lets each node see its ancestors
// computes for a path what it would for that sequence alone.
class TokenTrie {
 public:
  // The nodes of the sequence, one per token; those that are new are appended.
  std::vector<int64_t> Insert(const std::vector<int32_t>& sequence);
  // Tokens at the start of the sequence that are here already.
  int64_t SharedWith(const std::vector<int32_t>& sequence) const;

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  const std::vector<int64_t>& tokens() const { return tokens_; }
  // The node before each; -1 at the start of a sequence.
  const std::vector<int64_t>& parents() const { return parents_; }
  // The number of ancestors of each, which is its place in its sequences.
  const std::vector<int64_t>& positions() const { return positions_; }

 private:
  int64_t Child(int64_t parent, int32_t token) const;  // -1: none

  std::vector<int64_t> tokens_, parents_, positions_;
  std::map<std::pair<int64_t, int32_t>, int64_t> children_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKEN_TRIE_H_
