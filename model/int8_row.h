// A row of activations rounded to 8 bits, which integer dot products with
// quantised weights take (block_dot.h).
#ifndef TANDEM_MODEL_INT8_ROW_H_
#define TANDEM_MODEL_INT8_ROW_H_

#include <cstdint>
#include <vector>

namespace tandem {

inline constexpr int64_t kInt8Block = 32;

// Block b of 32 activations is about scales[2 b] * values[32 b ...]: GGML's
// Q8_1 with fp32 scales. scales[2 b] is the largest magnitude / 127, so that
// each activation is off by half of it at most; scales[2 b + 1] is scales[2 b]
// * the sum of the block's values, what a weight's minimum is multiplied by.
struct Int8Row {
  std::vector<int8_t> values;
  std::vector<float> scales;

  // REQUIRES: size is a multiple of 32, and all of x finite.
  void Assign(const float* x, int64_t size);
};

}  // namespace tandem

#endif  // TANDEM_MODEL_INT8_ROW_H_
