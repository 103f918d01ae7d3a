#include "model/ggml_k_blocks.h"

#include "model/ggml_bytes.h"

namespace tandem {
namespace {

int Byte(const std::byte* bytes, int i) {
  return std::to_integer<int>(bytes[i]);
}

struct ScaleAndMin {
  float scale, minimum;
};

// Group `i` of the 8 whose 6-bit scales and minima share 12 bytes (Q4_K, Q5_K):
// the first four groups have bytes 0-3 and 4-7, the last four take their low
// nibbles from bytes 8-11 and their high pairs of bits from the bytes before.
ScaleAndMin SixBits(const std::byte* packed, int i) {
  if (i < 4) {
    return {static_cast<float>(Byte(packed, i) & 63),
            static_cast<float>(Byte(packed, i + 4) & 63)};
  }
  const int nibbles = Byte(packed, i + 4);
  return {static_cast<float>((nibbles & 15) | Byte(packed, i - 4) >> 6 << 4),
          static_cast<float>(nibbles >> 4 | Byte(packed, i) >> 6 << 4)};
}

// Q3_K's scale of group `i` of 16, minus 32: low nibbles in bytes 0-7 (groups 8
// and up in the high half), high pairs of bits in bytes 8-11.
int SignedSixBits(const std::byte* packed, int i) {
  const int low = Byte(packed, i % 8) >> (i < 8 ? 0 : 4) & 15;
  const int high = Byte(packed, 8 + i % 4) >> (2 * (i / 4)) & 3;
  return (low | high << 4) - 32;
}

// Q4_K and Q5_K: every 32 bytes hold two groups, low nibbles first. high_bits
// (null: none) has the fifth bit of group i's weight j in bit i of byte j.
void DecodeNibbles(float d, float d_min, const std::byte* scales,
                   const std::byte* nibbles, const std::byte* high_bits,
                   float* values) {
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMin six = SixBits(scales, group);
    const float scale = d * six.scale, minimum = d_min * six.minimum;
    for (int j = 0; j < 32; ++j) {
      int n = Byte(nibbles, group / 2 * 32 + j) >> (group % 2 * 4) & 15;
      if (high_bits != nullptr) n |= (Byte(high_bits, j) >> group & 1) << 4;
      values[group * 32 + j] = scale * static_cast<float>(n) - minimum;
    }
  }
}

}  // namespace

// 16 bytes: scale | minimum << 4; 64 bytes of 2-bit weights; f16 d, f16 m0.
// Weight 128 h + 32 q + j is pair q of byte 32 h + j.
void Q2K::Decode(const std::byte* block, float* values) {
  const std::byte *scales = block, *pairs = block + 16;
  const float d = LoadHalf(block + 80), d_min = LoadHalf(block + 82);
  for (int i = 0; i < kValues; ++i) {
    const int both = Byte(scales, i / 16);
    const float scale = d * static_cast<float>(both & 15);
    const float minimum = d_min * static_cast<float>(both >> 4);
    const int n = Byte(pairs, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
    values[i] = scale * static_cast<float>(n) - minimum;
  }
}

// 32 bytes of third bits (bit i/32 of byte i%32; set: no 4 is taken off), 64
// bytes of 2-bit weights as in Q2_K, 12 bytes of scales, f16 d.
void Q3K::Decode(const std::byte* block, float* values) {
  const std::byte *third_bits = block, *pairs = block + 32,
                  *scales = block + 96;
  const float d = LoadHalf(block + 108);
  for (int i = 0; i < kValues; ++i) {
    const float scale = d * static_cast<float>(SignedSixBits(scales, i / 16));
    const int low =
        Byte(pairs, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
    const int third = Byte(third_bits, i % 32) >> (i / 32) & 1;
    values[i] = scale * static_cast<float>(low - (third ? 0 : 4));
  }
}

// f16 d, f16 m0, 12 bytes of scales and minima, 128 bytes of nibbles.
void Q4K::Decode(const std::byte* block, float* values) {
  DecodeNibbles(LoadHalf(block), LoadHalf(block + 2), block + 4, block + 16,
                nullptr, values);
}

// The same with 32 bytes of fifth bits before the nibbles.
void Q5K::Decode(const std::byte* block, float* values) {
  DecodeNibbles(LoadHalf(block), LoadHalf(block + 2), block + 4, block + 48,
                block + 16, values);
}

// 128 bytes of low nibbles, 64 bytes of high pairs, 16 signed scales, f16 d.
// Weight 128 h + 32 q + j: nibble q/2 of byte 64 h + 32 (q%2) + j, pair q of
// byte 32 h + j.
void Q6K::Decode(const std::byte* block, float* values) {
  const std::byte *nibbles = block, *pairs = block + 128, *scales = block + 192;
  const float d = LoadHalf(block + 208);
  for (int i = 0; i < kValues; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, j = i % 32;
    const int low =
        Byte(nibbles, 64 * half + 32 * (quarter % 2) + j) >> (quarter / 2 * 4) &
        15;
    const int high = Byte(pairs, 32 * half + j) >> (2 * quarter) & 3;
    const float scale =
        d * static_cast<float>(LoadBytes<int8_t>(scales + i / 16));
    values[i] = scale * static_cast<float>((low | high << 4) - 32);
  }
}

}  // namespace tandem
