#include "model/byte_pair_merges.h"

#include <queue>
#include <tuple>

namespace tandem {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

// A symbol in a doubly linked list that lies in an array. Index -1 ends it.
struct Symbol {
  int32_t id;
  int64_t before;
  int64_t after;
  bool merged_away = false;
};

// A merge of the symbol at `left` and the one after it, as they were when it
// was found; stale once either changed.
struct Candidate {
  int32_t rank;
  int64_t left;
  int32_t left_id;
  int32_t right_id;
  int32_t merged;
  // The heap's top is its greatest: lowest rank, then leftmost.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, left) > std::tie(other.rank, other.left);
  }
};

std::vector<Symbol> LinkSymbols(const std::vector<int32_t>& ids) {
  std::vector<Symbol> symbols(ids.size());
  const auto size = static_cast<int64_t>(ids.size());
  for (int64_t i = 0; i < size; ++i) {
    symbols[i] = {.id = ids[i], .before = i - 1, .after = i + 1};
  }
  symbols.back().after = -1;
  return symbols;
}

bool IsStale(const std::vector<Symbol>& symbols, const Candidate& candidate) {
  const Symbol& left = symbols[candidate.left];
  return left.merged_away || left.id != candidate.left_id || left.after < 0 ||
         symbols[left.after].id != candidate.right_id;
}

void MergeWithNext(std::vector<Symbol>* symbols, int64_t at, int32_t id) {
  Symbol& left = (*symbols)[at];
  Symbol& right = (*symbols)[left.after];
  left.id = id;
  left.after = right.after;
  right.merged_away = true;
  if (left.after >= 0) (*symbols)[left.after].before = at;
}

}  // namespace

void BytePairMerges::Add(int32_t left, int32_t right, int32_t merged) {
  const auto rank = static_cast<int32_t>(merges_.size());
  merges_.emplace(PairKey(left, right), Merge{rank, merged});
}

const BytePairMerges::Merge* BytePairMerges::Find(int32_t left,
                                                  int32_t right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairMerges::Apply(std::vector<int32_t>* ids) const {
  if (ids->size() < 2) return;
  std::vector<Symbol> symbols = LinkSymbols(*ids);
  std::priority_queue<Candidate> candidates;
  const auto consider = [&](int64_t left) {
    if (left < 0 || symbols[left].after < 0) return;
    const int32_t left_id = symbols[left].id;
    const int32_t right_id = symbols[symbols[left].after].id;
    const Merge* merge = Find(left_id, right_id);
    if (merge == nullptr) return;
    candidates.push({merge->rank, left, left_id, right_id, merge->merged});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) consider(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    if (IsStale(symbols, best)) continue;
    MergeWithNext(&symbols, best.left, best.merged);
    consider(symbols[best.left].before);
    consider(best.left);
  }
  ids->clear();
  for (int64_t i = 0; i >= 0; i = symbols[i].after) {
    ids->push_back(symbols[i].id);
  }
}

}  // namespace tandem
