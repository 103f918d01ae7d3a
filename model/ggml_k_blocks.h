// GGML's K-quants: 256 weights in groups of 16 or 32, whose scales (and
// minima) are themselves integers times the block's f16 scale (ggml-common.h of
// ggml-org/llama.cpp; the layout of each is beside its decoder).
#ifndef TANDEM_MODEL_GGML_K_BLOCKS_H_
#define TANDEM_MODEL_GGML_K_BLOCKS_H_

#include <cstddef>

namespace tandem {

// Decode turns one block into kValues floats, Encode finds the block of least
// squared error by a search (ggml_k_encode.cc), finite values only. All
// products but Q6_K's last are exact in fp32, so that fusing them with an
// addition changes nothing.
struct Q2K {  // d s n - m0 m: groups of 16, 4-bit s and m, 2-bit n
  static constexpr int kValues = 256, kBytes = 84;
  static void Decode(const std::byte* block, float* values);
};
struct Q3K {  // d s n: groups of 16, 6-bit s, signed 3-bit n
  static constexpr int kValues = 256, kBytes = 110;
  static void Decode(const std::byte* block, float* values);
};
struct Q4K {  // d s n - m0 m: groups of 32, 6-bit s and m, 4-bit n
  static constexpr int kValues = 256, kBytes = 144;
  static void Decode(const std::byte* block, float* values);
  static void Encode(const float* values, std::byte* block);
};
struct Q5K {  // the same with 5-bit n
  static constexpr int kValues = 256, kBytes = 176;
  static void Decode(const std::byte* block, float* values);
};
struct Q6K {  // d s n: groups of 16, 8-bit s, signed 6-bit n
  static constexpr int kValues = 256, kBytes = 210;
  static void Decode(const std::byte* block, float* values);
  static void Encode(const float* values, std::byte* block);
};

}  // namespace tandem

#endif  // TANDEM_MODEL_GGML_K_BLOCKS_H_
