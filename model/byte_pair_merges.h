// A table of merges: which two tokens become which third one, and when.
#ifndef TANDEM_MODEL_BYTE_PAIR_MERGES_H_
#define TANDEM_MODEL_BYTE_PAIR_MERGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/pair_map.h"
#include "model/symbol_merger.h"
#include "model/token_index.h"

namespace tandem {

class BytePairMerges {
 public:
  // From lines "left right", by rank. InvalidArgument: no such line, or one of
  // tokens that do not exist.
  static StatusOr<BytePairMerges> Create(const std::vector<std::string>& merges,
                                         const TokenIndex& index);

  // Ranks count up from 0 in the order of the calls; a pair keeps its first.
  void Add(int32_t left, int32_t right, int32_t merged) {
    pairs_.Insert(left, right, static_cast<int32_t>(merged_.size()));
    merged_.push_back(merged);
  }

  // The lower the rank, the higher the priority.
  std::optional<Merge> Find(int32_t left, int32_t right) const {
    const int32_t rank = pairs_.Find(left, right);
    if (rank == PairMap::kAbsent) return std::nullopt;
    return Merge{-static_cast<double>(rank), merged_[rank]};
  }

 private:
  PairMap pairs_;  // -> rank
  std::vector<int32_t> merged_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_BYTE_PAIR_MERGES_H_
