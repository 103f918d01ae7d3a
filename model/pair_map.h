// A flat hash table from two ids to a number.
#ifndef TANDEM_MODEL_PAIR_MAP_H_
#define TANDEM_MODEL_PAIR_MAP_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "model/byte_hash.h"

namespace tandem {

class PairMap {
 public:
  static constexpr int32_t kAbsent = -1;

  // Room for `size` pairs without growing.
  void Reserve(size_t size) {
    const size_t wanted = std::bit_ceil(size * 2 + 2);
    if (wanted > slots_.size()) Rehash(wanted);
  }

  // The value of a pair, put there first where the pair is new.
  // REQUIRES: first >= 0, value >= 0.
  int32_t Insert(int32_t first, int32_t second, int32_t value) {
    if ((size_ + 1) * 2 > slots_.size()) Reserve(size_ + 1);
    Slot& slot = slots_[Place(first, second)];
    if (slot.first == kAbsent) {
      slot = {first, second, value};
      ++size_;
    }
    return slot.value;
  }

  // kAbsent where the pair is not there, as none with a negative first is.
  int32_t Find(int32_t first, int32_t second) const {
    if (size_ == 0 || first < 0) return kAbsent;
    return slots_[Place(first, second)].value;
  }

 private:
  struct Slot {
    int32_t first = kAbsent;
    int32_t second = 0;
    int32_t value = kAbsent;
  };

  // The pair's slot, or the free one where it would go.
  size_t Place(int32_t first, int32_t second) const {
    const size_t mask = slots_.size() - 1;
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(first))
                             << 32 |
                         static_cast<uint32_t>(second);
    size_t at = MixHash(key) & mask;
    while (slots_[at].first != kAbsent &&
           (slots_[at].first != first || slots_[at].second != second)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  void Rehash(size_t slots) {
    std::vector<Slot> old(slots);
    std::swap(old, slots_);
    for (const Slot& slot : old) {
      if (slot.first != kAbsent) slots_[Place(slot.first, slot.second)] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t size_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PAIR_MAP_H_
