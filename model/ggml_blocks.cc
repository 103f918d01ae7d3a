#include "model/ggml_blocks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "model/ggml_bytes.h"
#include "model/ggml_k_blocks.h"
#include "model/instruction_set.h"
#include "model/widened.h"

namespace tandem {
namespace {

constexpr int kBlock = 32;        // weights in a quantised block
constexpr int kHalfBlock = 16;    // nibbles: weight j low, weight j + 16 high
constexpr int kScaleBytes = 2;    // an f16
constexpr int kHighBitBytes = 4;  // Q5: the fifth bit of each weight
constexpr double kLargestHalf = 65504;
// Half of what Q4_K's minima reach: least squares may go past the range.
constexpr double kKLargest = kLargestHalf * 32;

void DecodeF32(const std::byte* bytes, int64_t blocks, float* values) {
  std::memcpy(values, bytes, static_cast<size_t>(blocks) * sizeof(float));
}

void EncodeF32(const float* values, int64_t blocks, std::byte* bytes) {
  std::memcpy(bytes, values, static_cast<size_t>(blocks) * sizeof(float));
}

void DecodeF16(const std::byte* bytes, int64_t blocks, float* values) {
  for (int64_t i = 0; i < blocks; ++i) values[i] = LoadHalf(bytes + 2 * i);
}

void EncodeF16(const float* values, int64_t blocks, std::byte* bytes) {
  for (int64_t i = 0; i < blocks; ++i) StoreHalf(values[i], bytes + 2 * i);
}

void DecodeBF16(const std::byte* bytes, int64_t blocks, float* values) {
  for (int64_t i = 0; i < blocks; ++i)
    values[i] = Widened(LoadBytes<uint16_t>(bytes + 2 * i));
}

// Rounds to nearest, ties to even; a NaN stays one.
TANDEM_BODY uint16_t ToBF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<uint16_t>(is_nan ? (bits >> 16) | 64 : rounded);
}

TANDEM_BODY void EncodeBF16Body(const float* values, int64_t count,
                                std::byte* bytes) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = ToBF16(values[i]);
    std::memcpy(bytes + 2 * i, &bits, sizeof(bits));
  }
}

TANDEM_VECTORISED void EncodeBF16Avx2(const float* values, int64_t count,
                                      std::byte* bytes) {
  EncodeBF16Body(values, count, bytes);
}

void EncodeBF16(const float* values, int64_t blocks, std::byte* bytes) {
  if (HasAvx2()) return EncodeBF16Avx2(values, blocks, bytes);
  EncodeBF16Body(values, blocks, bytes);
}

struct ScaleAndInverse {
  float d, inverse;
};

// The value of largest magnitude becomes `lowest`, so that its sign costs
// nothing.
ScaleAndInverse SignedScale(const float* values, float lowest) {
  float extreme = 0;
  for (int j = 0; j < kBlock; ++j) {
    if (std::fabs(values[j]) > std::fabs(extreme)) extreme = values[j];
  }
  const float d = extreme / lowest;
  return {d, d != 0 ? 1.0f / d : 0.0f};
}

// The product of an f16 scale and a quant of at most 8 bits is exact in fp32,
// so a compiler that fuses it with the addition of a minimum changes nothing.
struct Q4_0 {  // d (n - 8)
  static constexpr int kValues = kBlock;
  static constexpr int kBytes = kScaleBytes + kHalfBlock;
  static void Decode(const std::byte* block, float* values) {
    const float d = LoadHalf(block);
    const auto* nibbles = block + kScaleBytes;
    for (int j = 0; j < kHalfBlock; ++j) {
      const int pair = std::to_integer<int>(nibbles[j]);
      values[j] = d * static_cast<float>((pair & 15) - 8);
      values[j + kHalfBlock] = d * static_cast<float>((pair >> 4) - 8);
    }
  }
  static void Encode(const float* values, std::byte* block) {
    const auto [d, inverse] = SignedScale(values, -8);
    StoreHalf(d, block);
    const auto quantise = [inverse = inverse](float value) {
      const float scaled = value * inverse;
      return std::min(15, static_cast<int>(scaled + 8.5f));
    };
    for (int j = 0; j < kHalfBlock; ++j) {
      const int low = quantise(values[j]);
      const int high = quantise(values[j + kHalfBlock]);
      block[kScaleBytes + j] = static_cast<std::byte>(low | high << 4);
    }
  }
};

struct Q4_1 {  // d n + m
  static constexpr int kValues = kBlock;
  static constexpr int kBytes = 2 * kScaleBytes + kHalfBlock;
  static void Decode(const std::byte* block, float* values) {
    const float d = LoadHalf(block);
    const float m = LoadHalf(block + kScaleBytes);
    const auto* nibbles = block + 2 * kScaleBytes;
    for (int j = 0; j < kHalfBlock; ++j) {
      const int pair = std::to_integer<int>(nibbles[j]);
      values[j] = d * static_cast<float>(pair & 15) + m;
      values[j + kHalfBlock] = d * static_cast<float>(pair >> 4) + m;
    }
  }
};

// Weight j's five bits: a nibble, and bit j of the 32 high bits.
int FiveBits(uint32_t high_bits, int j, int nibble) {
  return nibble | static_cast<int>(high_bits >> j & 1) << 4;
}

struct Q5_0 {  // d (n - 16)
  static constexpr int kValues = kBlock;
  static constexpr int kBytes = kScaleBytes + kHighBitBytes + kHalfBlock;
  static void Decode(const std::byte* block, float* values) {
    const float d = LoadHalf(block);
    const auto high_bits = LoadBytes<uint32_t>(block + kScaleBytes);
    const auto* nibbles = block + kScaleBytes + kHighBitBytes;
    for (int j = 0; j < kHalfBlock; ++j) {
      const int pair = std::to_integer<int>(nibbles[j]);
      const int low = FiveBits(high_bits, j, pair & 15);
      const int high = FiveBits(high_bits, j + kHalfBlock, pair >> 4);
      values[j] = d * static_cast<float>(low - 16);
      values[j + kHalfBlock] = d * static_cast<float>(high - 16);
    }
  }
  static void Encode(const float* values, std::byte* block) {
    const auto [d, inverse] = SignedScale(values, -16);
    StoreHalf(d, block);
    uint32_t high_bits = 0;
    std::byte* nibbles = block + kScaleBytes + kHighBitBytes;
    for (int j = 0; j < kBlock; ++j) {
      const float scaled = values[j] * inverse;
      const int n = std::min(31, static_cast<int>(scaled + 16.5f));
      high_bits |= static_cast<uint32_t>(n >> 4) << j;
      std::byte& pair = nibbles[j % kHalfBlock];
      if (j < kHalfBlock) pair = std::byte{0};
      pair |= static_cast<std::byte>((n & 15) << (j / kHalfBlock * 4));
    }
    std::memcpy(block + kScaleBytes, &high_bits, sizeof(high_bits));
  }
};

struct Q5_1 {  // d n + m
  static constexpr int kValues = kBlock;
  static constexpr int kBytes = 2 * kScaleBytes + kHighBitBytes + kHalfBlock;
  static void Decode(const std::byte* block, float* values) {
    const float d = LoadHalf(block);
    const float m = LoadHalf(block + kScaleBytes);
    const auto high_bits = LoadBytes<uint32_t>(block + 2 * kScaleBytes);
    const auto* nibbles = block + 2 * kScaleBytes + kHighBitBytes;
    for (int j = 0; j < kHalfBlock; ++j) {
      const int pair = std::to_integer<int>(nibbles[j]);
      const int low = FiveBits(high_bits, j, pair & 15);
      const int high = FiveBits(high_bits, j + kHalfBlock, pair >> 4);
      values[j] = d * static_cast<float>(low) + m;
      values[j + kHalfBlock] = d * static_cast<float>(high) + m;
    }
  }
};

struct Q8_0 {  // d n
  static constexpr int kValues = kBlock;
  static constexpr int kBytes = kScaleBytes + kBlock;
  static void Decode(const std::byte* block, float* values) {
    const float d = LoadHalf(block);
    for (int j = 0; j < kBlock; ++j) {
      values[j] =
          d * static_cast<float>(LoadBytes<int8_t>(block + kScaleBytes + j));
    }
  }
  static void Encode(const float* values, std::byte* block) {
    float largest = 0;
    for (int j = 0; j < kBlock; ++j) {
      largest = std::max(largest, std::fabs(values[j]));
    }
    const float d = largest / 127;
    const float inverse = d != 0 ? 1.0f / d : 0.0f;
    StoreHalf(d, block);
    for (int j = 0; j < kBlock; ++j) {
      const auto quant = static_cast<int8_t>(std::round(values[j] * inverse));
      block[kScaleBytes + j] = static_cast<std::byte>(quant);
    }
  }
};

struct IQ4_NL {  // d table[n]: steps that grow away from zero
  static constexpr int kValues = kBlock;
  static constexpr int kBytes = kScaleBytes + kHalfBlock;
  static constexpr float kSteps[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
  static void Decode(const std::byte* block, float* values) {
    const float d = LoadHalf(block);
    const auto* nibbles = block + kScaleBytes;
    for (int j = 0; j < kHalfBlock; ++j) {
      const int pair = std::to_integer<int>(nibbles[j]);
      values[j] = d * kSteps[pair & 15];
      values[j + kHalfBlock] = d * kSteps[pair >> 4];
    }
  }
};

#ifdef TANDEM_AVX2
// The same loop for the compiler to vectorise with eight lanes.
template <typename Format>
TANDEM_AVX2 void DecodeAllAvx2(const std::byte* bytes, int64_t blocks,
                               float* values) {
  for (int64_t i = 0; i < blocks; ++i) {
    Format::Decode(bytes + i * Format::kBytes, values + i * Format::kValues);
  }
}
#endif

template <typename Format>
void DecodeAll(const std::byte* bytes, int64_t blocks, float* values) {
#ifdef TANDEM_AVX2
  if (HasAvx2()) return DecodeAllAvx2<Format>(bytes, blocks, values);
#endif
  for (int64_t i = 0; i < blocks; ++i) {
    Format::Decode(bytes + i * Format::kBytes, values + i * Format::kValues);
  }
}

template <typename Format>
void EncodeAll(const float* values, int64_t blocks, std::byte* bytes) {
  for (int64_t i = 0; i < blocks; ++i) {
    Format::Encode(values + i * Format::kValues, bytes + i * Format::kBytes);
  }
}

template <typename Format>
constexpr GgmlFormat ReadOnly(GgmlType type, std::string_view name) {
  return {type,   name, Format::kValues, Format::kBytes, DecodeAll<Format>,
          nullptr};
}

template <typename Format>
constexpr GgmlFormat ReadWrite(GgmlType type, std::string_view name,
                               double largest) {
  return {type,
          name,
          Format::kValues,
          Format::kBytes,
          DecodeAll<Format>,
          EncodeAll<Format>,
          largest};
}

constexpr GgmlFormat kFormats[] = {
    {GgmlType::kF32, "F32", 1, 4, DecodeF32, EncodeF32},
    {GgmlType::kF16, "F16", 1, 2, DecodeF16, EncodeF16, kLargestHalf},
    {GgmlType::kBF16, "BF16", 1, 2, DecodeBF16, EncodeBF16},
    ReadWrite<Q4_0>(GgmlType::kQ4_0, "Q4_0", kLargestHalf * 8),
    ReadOnly<Q4_1>(GgmlType::kQ4_1, "Q4_1"),
    ReadWrite<Q5_0>(GgmlType::kQ5_0, "Q5_0", kLargestHalf * 16),
    ReadOnly<Q5_1>(GgmlType::kQ5_1, "Q5_1"),
    ReadWrite<Q8_0>(GgmlType::kQ8_0, "Q8_0", kLargestHalf * 127),
    ReadOnly<Q2K>(GgmlType::kQ2_K, "Q2_K"),
    ReadOnly<Q3K>(GgmlType::kQ3_K, "Q3_K"),
    ReadWrite<Q4K>(GgmlType::kQ4_K, "Q4_K", kKLargest),
    ReadOnly<Q5K>(GgmlType::kQ5_K, "Q5_K"),
    ReadWrite<Q6K>(GgmlType::kQ6_K, "Q6_K", kKLargest),
    ReadOnly<IQ4_NL>(GgmlType::kIQ4_NL, "IQ4_NL"),
};

}  // namespace

const GgmlFormat* FindGgmlFormat(uint32_t id) {
  for (const GgmlFormat& format : kFormats) {
    if (static_cast<uint32_t>(format.type) == id) return &format;
  }
  return nullptr;
}

const GgmlFormat& FormatOf(GgmlType type) {
  return *FindGgmlFormat(static_cast<uint32_t>(type));
}

std::string KnownGgmlTypes() {
  std::string names;
  for (const GgmlFormat& format : kFormats) {
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

}  // namespace tandem
