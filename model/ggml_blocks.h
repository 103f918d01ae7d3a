// GGML's tensor encodings: plain floats, and blocks of 32 or 256 weights that
// share scales (ggml-common.h, ggml-quants.c of ggml-org/llama.cpp). Decoding
// is exact; encoding gives the reference quantisers' bytes for blocks of 32,
// and for K-quants looks for the least squared error in its own way.
#ifndef TANDEM_MODEL_GGML_BLOCKS_H_
#define TANDEM_MODEL_GGML_BLOCKS_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tandem {

// The ids in a GGUF file.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kBF16 = 30
};

struct GgmlFormat {
  GgmlType type;
  std::string_view name;  // "Q4_0"
  int64_t block_values;   // weights in a block; rows are whole blocks
  int64_t block_bytes;
  // `blocks` blocks from bytes to floats.
  void (*decode)(const std::byte* bytes, int64_t blocks, float* values);
  // The way back; null where Tandem only reads the format. Infinities and NaN
  // have no meaning in quantised blocks: callers refuse them first.
  void (*encode)(const float* values, int64_t blocks, std::byte* bytes);
  // The largest magnitude that `encode` can keep, by the range of its scales.
  double largest = INFINITY;
};

// Null for an id that is not in the table.
const GgmlFormat* FindGgmlFormat(uint32_t id);
const GgmlFormat& FormatOf(GgmlType type);

// "F32, F16, ..." for messages.
std::string KnownGgmlTypes();

}  // namespace tandem

#endif  // TANDEM_MODEL_GGML_BLOCKS_H_
