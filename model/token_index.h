// Finds tokens by their text.
#ifndef TANDEM_MODEL_TOKEN_INDEX_H_
#define TANDEM_MODEL_TOKEN_INDEX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tandem {

// An id that no token has.
inline constexpr int32_t kNoToken = -1;

// A flat hash table over tokens that lie elsewhere and must outlive it unmoved.
class TokenIndex {
 public:
  TokenIndex() = default;
  // InvalidArgument: an empty token, or one that is there twice.
  static StatusOr<TokenIndex> Create(const std::vector<std::string>& tokens);

  // kNoToken where there is none.
  int32_t Find(std::string_view text) const;
  size_t longest_bytes() const { return longest_bytes_; }

 private:
  struct Slot {
    uint32_t tag = 0;  // bits of the hash, so that few texts are compared
    int32_t id = kNoToken;
  };
  // The slot of `text`, or the free one where it would go.
  size_t Place(std::string_view text, uint64_t hash) const;

  const std::vector<std::string>* tokens_ = nullptr;
  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t longest_bytes_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKEN_INDEX_H_
