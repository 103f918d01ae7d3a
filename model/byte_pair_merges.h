// Byte-pair encoding (Sennrich et al., 2016): of all neighbours that may merge,
// the pair of the lowest rank does, the leftmost first, until none is left.
#ifndef TANDEM_MODEL_BYTE_PAIR_MERGES_H_
#define TANDEM_MODEL_BYTE_PAIR_MERGES_H_

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace tandem {

// An id that no pair merges with.
inline constexpr int32_t kNoToken = -1;

class BytePairMerges {
 public:
  // Ranks count up from 0 in the order of the calls; a pair keeps its first.
  void Add(int32_t left, int32_t right, int32_t merged);

  // Merges `ids` in place. n log n in their number, however long they are.
  void Apply(std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    int32_t rank;
    int32_t merged;
  };
  struct MixPair {  // the standard hash of an integer is the integer
    std::size_t operator()(uint64_t pair) const {
      pair *= 0x9E3779B97F4A7C15u;
      return pair ^ (pair >> 32);
    }
  };

  const Merge* Find(int32_t left, int32_t right) const;

  std::unordered_map<uint64_t, Merge, MixPair> merges_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_BYTE_PAIR_MERGES_H_
