// The loop of byte-pair encoding (Sennrich et al., 2016): of all neighbours
// that may merge, the pair of the highest priority does, the leftmost first,
// until none is left. n log n in the number of symbols, however long the text.
#ifndef TANDEM_MODEL_SYMBOL_MERGER_H_
#define TANDEM_MODEL_SYMBOL_MERGER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace tandem {

// A stretch of text, in a doubly linked list that lies in an array; index -1
// ends the list.
struct Symbol {
  int32_t id;
  uint32_t begin;
  uint32_t bytes;  // 0: merged away
  int32_t before;
  int32_t after;
};

struct Merge {
  double priority;
  int32_t id;  // of the merged symbol
};

// Keeps its memory from one text to the next.
class SymbolMerger {
 public:
  void Clear() { symbols_.clear(); }

  // Appends a symbol, right after the one before it. REQUIRES: bytes > 0.
  void Add(int32_t id, uint32_t bytes) {
    const auto at = static_cast<int32_t>(symbols_.size());
    uint32_t begin = 0;
    if (at > 0) {
      symbols_.back().after = at;
      begin = symbols_.back().begin + symbols_.back().bytes;
    }
    symbols_.push_back({id, begin, bytes, at - 1, -1});
  }

  // find(left, right): the std::optional<Merge> of two neighbouring Symbols.
  template <typename FindMerge>
  void MergeAll(const FindMerge& find) {
    candidates_.clear();
    const auto consider = [&](int32_t at) { Consider(at, find); };
    for (size_t i = 0; i + 1 < symbols_.size(); ++i) {
      consider(static_cast<int32_t>(i));
    }
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end());
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      if (IsStale(best)) continue;
      MergeWithNext(best.left, best.id);
      consider(symbols_[best.left].before);
      consider(best.left);
    }
  }

  // visit(symbol) for what is left, in order.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    if (symbols_.empty()) return;
    for (int32_t at = 0; at >= 0; at = symbols_[at].after) visit(symbols_[at]);
  }

 private:
  struct Candidate {
    double priority;
    int32_t left;
    int32_t right;
    uint32_t bytes;  // of both, when this was found: symbols only grow
    int32_t id;
    // The heap's top is its greatest.
    bool operator<(const Candidate& other) const {
      if (priority != other.priority) return priority < other.priority;
      return left > other.left;
    }
  };

  template <typename FindMerge>
  void Consider(int32_t at, const FindMerge& find) {
    if (at < 0 || symbols_[at].after < 0) return;
    const Symbol& left = symbols_[at];
    const Symbol& right = symbols_[left.after];
    const std::optional<Merge> merge = find(left, right);
    if (!merge) return;
    candidates_.push_back(
        {merge->priority, at, left.after, left.bytes + right.bytes, merge->id});
    std::push_heap(candidates_.begin(), candidates_.end());
  }

  bool IsStale(const Candidate& candidate) const {
    const Symbol& left = symbols_[candidate.left];
    const Symbol& right = symbols_[candidate.right];
    return left.bytes == 0 || right.bytes == 0 ||
           left.bytes + right.bytes != candidate.bytes;
  }

  void MergeWithNext(int32_t at, int32_t id) {
    Symbol& left = symbols_[at];
    Symbol& right = symbols_[left.after];
    left.id = id;
    left.bytes += right.bytes;
    left.after = right.after;
    right.bytes = 0;
    if (left.after >= 0) symbols_[left.after].before = at;
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_SYMBOL_MERGER_H_
