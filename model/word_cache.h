// Remembers the ids of short words.
#ifndef TANDEM_MODEL_WORD_CACHE_H_
#define TANDEM_MODEL_WORD_CACHE_H_

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "model/byte_hash.h"

namespace tandem {

// One slot a hash: a new word takes the place of the one before. Entries fill a
// cache line, so that finding a word touches one. 1 MiB.
class WordCache {
 public:
  // Appends the ids of `word` and is true, or is false.
  bool Append(std::string_view word, std::vector<int32_t>* ids) const {
    if (word.size() > kMaxBytes) return false;
    const Entry& entry = entries_[SlotOf(word)];
    if (entry.bytes != word.size() ||
        std::memcmp(entry.text, word.data(), word.size()) != 0) {
      return false;
    }
    ids->insert(ids->end(), entry.ids, entry.ids + entry.count);
    return true;
  }

  // `first` points to the word's `count` ids. Long ones are not kept.
  // REQUIRES: word is not empty.
  void Keep(std::string_view word, const int32_t* first, size_t count) {
    if (word.size() > kMaxBytes || count > kMaxIds) return;
    Entry& entry = entries_[SlotOf(word)];
    entry.bytes = static_cast<uint8_t>(word.size());
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.text, word.data(), word.size());
    std::memcpy(entry.ids, first, count * sizeof(int32_t));
  }

 private:
  static constexpr size_t kMaxBytes = 30;
  static constexpr size_t kMaxIds = 8;
  static constexpr size_t kSlots = 1 << 14;
  struct alignas(64) Entry {
    uint8_t bytes = 0;  // 0: free
    uint8_t count = 0;
    char text[kMaxBytes];
    int32_t ids[kMaxIds];
  };
  static size_t SlotOf(std::string_view word) {
    return HashBytes(word) % kSlots;
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kSlots);
};

}  // namespace tandem

#endif  // TANDEM_MODEL_WORD_CACHE_H_
