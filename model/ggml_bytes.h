// Numbers as GGML's blocks hold them: little-endian, at any address.
#ifndef TANDEM_MODEL_GGML_BYTES_H_
#define TANDEM_MODEL_GGML_BYTES_H_

#include <c10/util/Half.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tandem {

template <typename T>
T LoadBytes(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

inline float LoadHalf(const std::byte* bytes) {
  return c10::detail::fp16_ieee_to_fp32_value(LoadBytes<uint16_t>(bytes));
}

inline void StoreHalf(float value, std::byte* bytes) {
  const uint16_t half = c10::detail::fp16_ieee_from_fp32_value(value);
  std::memcpy(bytes, &half, sizeof(half));
}

}  // namespace tandem

#endif  // TANDEM_MODEL_GGML_BYTES_H_
