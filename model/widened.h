// fp32 values of what weights are stored in, for kernels that take either.
#ifndef TANDEM_MODEL_WIDENED_H_
#define TANDEM_MODEL_WIDENED_H_

#include <bit>
#include <cstdint>

namespace tandem {

// Inlined into functions that are compiled for other instruction sets.
[[gnu::always_inline]] inline float Widened(float x) { return x; }

// Of bf16, the upper half of a float.
[[gnu::always_inline]] inline float Widened(uint16_t x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x) << 16);
}

}  // namespace tandem

#endif  // TANDEM_MODEL_WIDENED_H_
