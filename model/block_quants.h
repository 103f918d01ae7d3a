// GGML blocks taken apart into small integers and the scales they are
// multiplied by, for block_dot.cc: portably, and in AVX2 registers.
#ifndef TANDEM_MODEL_BLOCK_QUANTS_H_
#define TANDEM_MODEL_BLOCK_QUANTS_H_

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "model/ggml_bytes.h"
#include "model/instruction_set.h"

namespace tandem::block_quants {

// Every format below has
//   kValues, kBytes: of a block; kParts = kValues / 32;
//   kSigned: quants may be negative;
//   kMinimum: what the second scale is multiplied by; 0: there is none;
//   Scales(block, scales): {scale, minimum} of each part;
//   Quants(block, part, quants): 32 small integers, so that weight i of the
//   part
//     is scale * quants[i] + minimum * kMinimum;
//   Load(block, part): the same in a register.

inline int At(const std::byte* bytes, int i) {
  return std::to_integer<int>(bytes[i]);
}

#ifdef TANDEM_AVX2
TANDEM_AVX2 inline __m256i Load32(const std::byte* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}
// 16 bytes: low nibbles, then high ones.
TANDEM_AVX2 inline __m256i LoadNibbles(const std::byte* bytes) {
  const __m128i pairs =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(pairs),
                                               _mm_srli_epi16(pairs, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
// 16 where bit i of the four bytes is set, else 0.
TANDEM_AVX2 inline __m256i LoadFifthBits(const std::byte* bytes) {
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(LoadBytes<int32_t>(bytes)),
      _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                         0x0202020202020202, 0x0303030303030303));
  const __m256i bit =
      _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}
TANDEM_AVX2 inline __m256i ShiftRight(__m256i values, int bits, int mask) {
  return _mm256_and_si256(_mm256_srl_epi16(values, _mm_cvtsi32_si128(bits)),
                          _mm256_set1_epi8(static_cast<char>(mask)));
}
#endif

inline void NibbleQuants(const std::byte* bytes, int8_t* quants) {
  for (int i = 0; i < 16; ++i) {
    quants[i] = static_cast<int8_t>(At(bytes, i) & 15);
    quants[16 + i] = static_cast<int8_t>(At(bytes, i) >> 4);
  }
}

// Q4_0, Q4_1, Q5_0, Q5_1: an f16 scale, an f16 minimum or an offset, 4 bytes of
// fifth bits, 16 bytes of nibbles.
template <bool kHasMinimum, bool kHasFifthBits>
struct Nibbles {
  static constexpr int kHeader = kHasMinimum ? 4 : 2;
  static constexpr int kNibbles = kHeader + (kHasFifthBits ? 4 : 0);
  static constexpr int kValues = 32, kBytes = kNibbles + 16, kParts = 1;
  static constexpr bool kSigned = false;
  static constexpr float kMinimum =
      kHasMinimum ? 1.0f : (kHasFifthBits ? -16.0f : -8.0f);

  static void Scales(const std::byte* block, float* scales) {
    scales[0] = LoadHalf(block);
    scales[1] = kHasMinimum ? LoadHalf(block + 2) : scales[0];
  }
  static void Quants(const std::byte* block, int, int8_t* quants) {
    NibbleQuants(block + kNibbles, quants);
    if constexpr (kHasFifthBits) {
      const auto bits = LoadBytes<uint32_t>(block + kHeader);
      for (int i = 0; i < 32; ++i)
        quants[i] = static_cast<int8_t>(quants[i] | (bits >> i & 1) << 4);
    }
  }
#ifdef TANDEM_AVX2
  TANDEM_AVX2 static __m128 LoadScales(const std::byte* block) {
    const uint32_t halves = kHasMinimum ? LoadBytes<uint32_t>(block)
                                        : LoadBytes<uint16_t>(block) * 0x10001u;
    return _mm_cvtph_ps(_mm_cvtsi32_si128(static_cast<int>(halves)));
  }
  TANDEM_AVX2 static __m256i Load(const std::byte* block, int) {
    const __m256i nibbles = LoadNibbles(block + kNibbles);
    if constexpr (kHasFifthBits)
      return _mm256_or_si256(nibbles, LoadFifthBits(block + kHeader));
    return nibbles;
  }
#endif
};
using Q4_0 = Nibbles<false, false>;
using Q4_1 = Nibbles<true, false>;
using Q5_0 = Nibbles<false, true>;
using Q5_1 = Nibbles<true, true>;

struct Q8_0 {
  static constexpr int kValues = 32, kBytes = 34, kParts = 1;
  static constexpr bool kSigned = true;
  static constexpr float kMinimum = 0;
  static void Scales(const std::byte* block, float* scales) {
    scales[0] = LoadHalf(block);
    scales[1] = 0;
  }
  static void Quants(const std::byte* block, int, int8_t* quants) {
    std::memcpy(quants, block + 2, 32);
  }
#ifdef TANDEM_AVX2
  TANDEM_AVX2 static __m128 LoadScales(const std::byte* block) {
    return _mm_cvtph_ps(_mm_cvtsi32_si128(LoadBytes<uint16_t>(block)));
  }
  TANDEM_AVX2 static __m256i Load(const std::byte* block, int) {
    return Load32(block + 2);
  }
#endif
};

// Q4_K, Q5_K: f16 d and d_min, 12 bytes of eight 6-bit scales and minima, 32
// bytes of fifth bits (Q5_K), 128 bytes of nibbles (layout: ggml_k_blocks.cc).
template <bool kHasFifthBits>
struct KNibbles {
  static constexpr int kFifthBits = 16;
  static constexpr int kNibbles = kFifthBits + (kHasFifthBits ? 32 : 0);
  static constexpr int kValues = 256, kBytes = kNibbles + 128, kParts = 8;
  static constexpr bool kSigned = false;
  static constexpr float kMinimum = -1;

  static void Scales(const std::byte* block, float* scales) {
    const float d = LoadHalf(block), d_min = LoadHalf(block + 2);
    const std::byte* packed = block + 4;
    for (int i = 0; i < 4; ++i) {
      scales[2 * i] = d * static_cast<float>(At(packed, i) & 63);
      scales[2 * i + 1] = d_min * static_cast<float>(At(packed, i + 4) & 63);
      const int nibbles = At(packed, i + 8);
      const int scale = (nibbles & 15) | At(packed, i) >> 6 << 4;
      const int minimum = nibbles >> 4 | At(packed, i + 4) >> 6 << 4;
      scales[2 * (i + 4)] = d * static_cast<float>(scale);
      scales[2 * (i + 4) + 1] = d_min * static_cast<float>(minimum);
    }
  }
  static void Quants(const std::byte* block, int part, int8_t* quants) {
    const std::byte* nibbles = block + kNibbles + part / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      int n = At(nibbles, i) >> (part % 2 * 4) & 15;
      if constexpr (kHasFifthBits)
        n |= (At(block, kFifthBits + i) >> part & 1) << 4;
      quants[i] = static_cast<int8_t>(n);
    }
  }
#ifdef TANDEM_AVX2
  TANDEM_AVX2 static __m256i Load(const std::byte* block, int part) {
    const __m256i nibbles =
        ShiftRight(Load32(block + kNibbles + part / 2 * 32), part % 2 * 4, 15);
    if constexpr (kHasFifthBits) {
      const __m256i fifth = ShiftRight(Load32(block + kFifthBits), part, 1);
      return _mm256_or_si256(nibbles, _mm256_slli_epi16(fifth, 4));
    }
    return nibbles;
  }
#endif
};
using Q4K = KNibbles<false>;
using Q5K = KNibbles<true>;

// Q6_K: 128 bytes of low nibbles, 64 of high pairs, 16 signed scales, f16 d.
// Here every part has two scales, of 16 weights each, and no minimum.
struct Q6K {
  static constexpr int kValues = 256, kBytes = 210, kParts = 8;
  static constexpr bool kSigned = true;
  static void Scales(const std::byte* block, float* scales) {
    const float d = LoadHalf(block + 208);
    for (int i = 0; i < 16; ++i)
      scales[i] = d * static_cast<float>(LoadBytes<int8_t>(block + 192 + i));
  }
  static void Quants(const std::byte* block, int part, int8_t* quants) {
    const int half = part / 4, quarter = part % 4;
    const std::byte* nibbles = block + 64 * half + 32 * (quarter % 2);
    const std::byte* pairs = block + 128 + 32 * half;
    for (int i = 0; i < 32; ++i) {
      const int low = At(nibbles, i) >> (quarter / 2 * 4) & 15;
      const int high = At(pairs, i) >> (2 * quarter) & 3;
      quants[i] = static_cast<int8_t>((low | high << 4) - 32);
    }
  }
#ifdef TANDEM_AVX2
  TANDEM_AVX2 static __m256i Load(const std::byte* block, int part) {
    const int half = part / 4, quarter = part % 4;
    const __m256i low = ShiftRight(
        Load32(block + 64 * half + 32 * (quarter % 2)), quarter / 2 * 4, 15);
    const __m256i high =
        ShiftRight(Load32(block + 128 + 32 * half), 2 * quarter, 3);
    return _mm256_sub_epi8(_mm256_or_si256(low, _mm256_slli_epi16(high, 4)),
                           _mm256_set1_epi8(32));
  }
#endif
};

}  // namespace tandem::block_quants

#endif  // TANDEM_MODEL_BLOCK_QUANTS_H_
