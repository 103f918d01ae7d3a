// A hash for short strings, good enough for open addressing by its low bits.
#ifndef TANDEM_MODEL_BYTE_HASH_H_
#define TANDEM_MODEL_BYTE_HASH_H_

#include <cstdint>
#include <cstring>
#include <string_view>

namespace tandem {

inline uint64_t MixHash(uint64_t value) {
  value *= 0x9E3779B97F4A7C15u;
  return value ^ (value >> 32);
}

inline uint64_t HashBytes(std::string_view text) {
  const auto load = [](const char* from, auto value) {
    std::memcpy(&value, from, sizeof(value));
    return static_cast<uint64_t>(value);
  };
  const char* at = text.data();
  size_t left = text.size();
  uint64_t hash = left;
  for (; left >= 8; at += 8, left -= 8) {
    hash = MixHash(hash ^ load(at, uint64_t{}));
  }
  if (left >= 4) {  // two loads that may overlap
    return MixHash(
        hash ^ (load(at, uint32_t{}) | load(at + left - 4, uint32_t{}) << 32));
  }
  if (left == 0) return MixHash(hash);
  const auto byte = [&](size_t i) { return load(at + i, uint8_t{}); };
  return MixHash(hash ^
                 (byte(0) << 8 | byte(left / 2) << 16 | byte(left - 1) << 24));
}

}  // namespace tandem

#endif  // TANDEM_MODEL_BYTE_HASH_H_
