// Texts by their bytes, to find those that begin at a place.
#ifndef TANDEM_MODEL_PREFIX_TRIE_H_
#define TANDEM_MODEL_PREFIX_TRIE_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/pair_map.h"

namespace tandem {

class PrefixTrie {
 public:
  PrefixTrie() { children_of_root_.fill(PairMap::kAbsent); }

  // REQUIRES: text is not empty, id >= 0.
  void Add(std::string_view text, int32_t id) {
    int32_t node = Child(children_of_root_[Byte(text, 0)]);
    for (size_t i = 1; i < text.size(); ++i) {
      const auto next = static_cast<int32_t>(id_of_node_.size());
      const int32_t child = children_.Insert(node, Byte(text, i), next);
      if (child == next) id_of_node_.push_back(kNone);
      node = child;
    }
    id_of_node_[node] = id;
  }

  // visit(bytes, id) for every text that text[at...] starts with, the shortest
  // first. REQUIRES: at < text.size().
  template <typename Visit>
  void ForEachAt(std::string_view text, size_t at, Visit&& visit) const {
    int32_t node = children_of_root_[Byte(text, at)];
    for (size_t end = at + 1; node != PairMap::kAbsent; ++end) {
      if (id_of_node_[node] != kNone) visit(end - at, id_of_node_[node]);
      if (end == text.size()) return;
      node = children_.Find(node, Byte(text, end));
    }
  }

 private:
  static constexpr int32_t kNone = -1;
  static unsigned char Byte(std::string_view text, size_t at) {
    return static_cast<unsigned char>(text[at]);
  }
  // A node of its own for a child of the root that has none yet.
  int32_t Child(int32_t& child) {
    if (child == PairMap::kAbsent) {
      child = static_cast<int32_t>(id_of_node_.size());
      id_of_node_.push_back(kNone);
    }
    return child;
  }

  std::array<int32_t, 256> children_of_root_;
  PairMap children_;  // (node, byte) -> node
  std::vector<int32_t> id_of_node_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PREFIX_TRIE_H_
