#include "model/token_trie.h"

namespace tandem {

int64_t TokenTrie::Child(int64_t parent, int32_t token) const {
  const auto found = children_.find({parent, token});
  return found == children_.end() ? -1 : found->second;
}

int64_t TokenTrie::SharedWith(const std::vector<int32_t>& sequence) const {
  int64_t node = -1, shared = 0;
  for (const int32_t token : sequence) {
    node = Child(node, token);
    if (node < 0) break;
    ++shared;
  }
  return shared;
}

std::vector<int64_t> TokenTrie::Insert(const std::vector<int32_t>& sequence) {
  std::vector<int64_t> nodes;
  nodes.reserve(sequence.size());
  int64_t parent = -1;
  for (const int32_t token : sequence) {
    int64_t node = Child(parent, token);
    if (node < 0) {
      node = size();
      positions_.push_back(static_cast<int64_t>(nodes.size()));
      tokens_.push_back(token);
      parents_.push_back(parent);
      children_[{parent, token}] = node;
    }
    nodes.push_back(node);
    parent = node;
  }
  return nodes;
}

}  // namespace tandem
