// Which characters stand side by side within a token. Where two of a text never
// do, no merge reaches across, and the text can be cut there without changing
// its ids.
#ifndef TANDEM_MODEL_JOINED_CHARACTERS_H_
#define TANDEM_MODEL_JOINED_CHARACTERS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/byte_hash.h"
#include "model/utf8.h"

namespace tandem {

// A set of pairs with false positives, which are harmless. 128 KiB.
class JoinedCharacters {
 public:
  void AddToken(std::string_view token) {
    char32_t before = 0;
    for (size_t at = 0; at < token.size();) {
      const CodePoint point = DecodeUtf8(token, at);
      if (at > 0) bits_[Bit(before, point.value)] = true;
      before = point.value;
      at += point.bytes;
    }
  }

  bool MayContain(char32_t before, char32_t after) const {
    return bits_[Bit(before, after)];
  }

 private:
  static constexpr size_t kBits = 1 << 20;
  static size_t Bit(char32_t before, char32_t after) {
    return MixHash(uint64_t{before} << 32 | after) % kBits;
  }
  std::vector<bool> bits_ = std::vector<bool>(kBits);
};

}  // namespace tandem

#endif  // TANDEM_MODEL_JOINED_CHARACTERS_H_
