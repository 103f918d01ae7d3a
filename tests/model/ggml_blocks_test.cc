// The block encodings against their definitions, worked by hand; bit parity
// with the gguf package stands in tests/interop/test_gguf.py.
#include "model/ggml_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "common/random.h"

namespace tandem {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint16_t kHalfOne = 0x3c00, kHalfTwo = 0x4000,
                   kHalfMinusHalf = 0xb800;

void PutHalf(std::vector<std::byte>& bytes, uint16_t half) {
  bytes.push_back(static_cast<std::byte>(half & 0xff));
  bytes.push_back(static_cast<std::byte>(half >> 8));
}

// Byte j holds the quants of weights j (low) and j + 16 (high).
void PutNibbles(std::vector<std::byte>& bytes, const std::vector<int>& quants) {
  for (int j = 0; j < 16; ++j) {
    bytes.push_back(
        static_cast<std::byte>((quants[j] & 15) | (quants[j + 16] & 15) << 4));
  }
}

void PutHighBits(std::vector<std::byte>& bytes,
                 const std::vector<int>& quants) {
  uint32_t bits = 0;
  for (int j = 0; j < 32; ++j)
    bits |= static_cast<uint32_t>(quants[j] >> 4) << j;
  for (int i = 0; i < 4; ++i) {
    bytes.push_back(static_cast<std::byte>(bits >> 8 * i & 0xff));
  }
}

std::vector<int> Quants(int levels) {
  std::vector<int> quants(32);
  for (int j = 0; j < 32; ++j) quants[j] = (j * 7 + 3) % levels;
  return quants;
}

std::vector<float> Decode(GgmlType type, const std::vector<std::byte>& bytes) {
  const GgmlFormat& format = FormatOf(type);
  EXPECT_EQ(static_cast<int64_t>(bytes.size()), format.block_bytes);
  std::vector<float> values(static_cast<size_t>(format.block_values));
  format.decode(bytes.data(), 1, values.data());
  return values;
}

std::vector<float> RoundTrip(GgmlType type, const std::vector<float>& values) {
  const GgmlFormat& format = FormatOf(type);
  const int64_t blocks =
      static_cast<int64_t>(values.size()) / format.block_values;
  std::vector<std::byte> bytes(
      static_cast<size_t>(blocks * format.block_bytes));
  format.encode(values.data(), blocks, bytes.data());
  std::vector<float> result(values.size());
  format.decode(bytes.data(), blocks, result.data());
  return result;
}

std::vector<float> RandomValues(size_t size) {
  SeededRandom random(5);
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

TEST(GgmlBlocks, DecodesQ4_0) {
  std::vector<std::byte> block;
  PutHalf(block, kHalfTwo);
  PutNibbles(block, Quants(16));
  const auto values = Decode(GgmlType::kQ4_0, block);
  for (int j = 0; j < 32; ++j) {
    EXPECT_EQ(values[j], 2.0f * static_cast<float>(Quants(16)[j] - 8)) << j;
  }
}

TEST(GgmlBlocks, DecodesQ4_1) {
  std::vector<std::byte> block;
  PutHalf(block, kHalfTwo);
  PutHalf(block, kHalfMinusHalf);
  PutNibbles(block, Quants(16));
  const auto values = Decode(GgmlType::kQ4_1, block);
  for (int j = 0; j < 32; ++j) {
    EXPECT_EQ(values[j], 2.0f * static_cast<float>(Quants(16)[j]) - 0.5f) << j;
  }
}

TEST(GgmlBlocks, DecodesQ5_0) {
  std::vector<std::byte> block;
  PutHalf(block, kHalfTwo);
  PutHighBits(block, Quants(32));
  PutNibbles(block, Quants(32));
  const auto values = Decode(GgmlType::kQ5_0, block);
  for (int j = 0; j < 32; ++j) {
    EXPECT_EQ(values[j], 2.0f * static_cast<float>(Quants(32)[j] - 16)) << j;
  }
}

TEST(GgmlBlocks, DecodesQ5_1) {
  std::vector<std::byte> block;
  PutHalf(block, kHalfTwo);
  PutHalf(block, kHalfMinusHalf);
  PutHighBits(block, Quants(32));
  PutNibbles(block, Quants(32));
  const auto values = Decode(GgmlType::kQ5_1, block);
  for (int j = 0; j < 32; ++j) {
    EXPECT_EQ(values[j], 2.0f * static_cast<float>(Quants(32)[j]) - 0.5f) << j;
  }
}

TEST(GgmlBlocks, DecodesQ8_0) {
  std::vector<std::byte> block;
  PutHalf(block, kHalfTwo);
  for (int j = 0; j < 32; ++j) block.push_back(static_cast<std::byte>(j * 8));
  const auto values = Decode(GgmlType::kQ8_0, block);
  for (int j = 0; j < 32; ++j) {
    EXPECT_EQ(values[j], 2.0f * static_cast<int8_t>(j * 8)) << j;
  }
}

// Whole multiples of d with the largest at an end of the scale survive.
TEST(GgmlBlocks, ValuesOnTheGridSurviveQuantisation) {
  std::vector<float> q4(32), q8(32);
  for (int j = 0; j < 32; ++j) {
    q4[j] = 0.5f * static_cast<float>(j % 16 - 8);
    q8[j] = 0.25f * static_cast<float>(j * 8 - 127);
  }
  EXPECT_EQ(RoundTrip(GgmlType::kQ4_0, q4), q4);
  EXPECT_EQ(RoundTrip(GgmlType::kQ8_0, q8), q8);
}

// The largest error is half a step; at Q4_0's positive end, which has only 7
// steps, a whole one.
TEST(GgmlBlocks, QuantisationErrorIsBoundedByTheStep) {
  const std::vector<float> values = RandomValues(32 * 200);
  const auto q8 = RoundTrip(GgmlType::kQ8_0, values);
  const auto q4 = RoundTrip(GgmlType::kQ4_0, values);
  for (size_t block = 0; block < values.size(); block += 32) {
    float largest = 0;
    for (size_t j = block; j < block + 32; ++j) {
      largest = std::max(largest, std::fabs(values[j]));
    }
    for (size_t j = block; j < block + 32; ++j) {
      // 1.001 and the last term: the step itself is rounded to f16.
      EXPECT_LE(std::fabs(q8[j] - values[j]),
                0.5f * largest / 127 * 1.001f + largest * 0.0005f);
      EXPECT_LE(std::fabs(q4[j] - values[j]), largest / 8 * 1.01f);
    }
  }
}

TEST(GgmlBlocks, ZeroBlocksStayZero) {
  const std::vector<float> zeros(32, 0.0f);
  EXPECT_THAT(RoundTrip(GgmlType::kQ4_0, zeros), Each(0.0f));
  EXPECT_THAT(RoundTrip(GgmlType::kQ8_0, zeros), Each(0.0f));
}

TEST(GgmlBlocks, Bf16RoundsTiesToEvenAndKeepsNan) {
  const auto of = [](uint32_t bits) { return std::bit_cast<float>(bits); };
  const auto values = RoundTrip(GgmlType::kBF16,
                                {of(0x3f808000), of(0x3f818000), of(0x3f808001),
                                 std::numeric_limits<float>::infinity()});
  EXPECT_THAT(values,
              ElementsAre(of(0x3f800000), of(0x3f820000), of(0x3f810000),
                          std::numeric_limits<float>::infinity()));
  EXPECT_TRUE(std::isnan(RoundTrip(GgmlType::kBF16, {of(0x7f800001)})[0]));
}

TEST(GgmlBlocks, HalvesCoverSubnormalsAndLimits) {
  const std::vector<float> exact = {5.9604645e-8f, 65504.0f, -0.0f,
                                    6.1035156e-5f};
  const auto values = RoundTrip(GgmlType::kF16, exact);
  EXPECT_EQ(values, exact);
  EXPECT_TRUE(std::signbit(values[2]));
}

TEST(GgmlBlocks, UnknownIdsAreNull) {
  EXPECT_EQ(FindGgmlFormat(16), nullptr);
  EXPECT_EQ(FindGgmlFormat(0xffffffff), nullptr);
  EXPECT_EQ(FindGgmlFormat(8)->name, "Q8_0");
  EXPECT_THAT(KnownGgmlTypes(), HasSubstr("Q5_1"));
}

// Group 5 of 8: its low nibbles in byte 9, its high bits in bytes 1 and 5.
TEST(GgmlBlocks, Q4KTakesItsLastScalesFromThreePlaces) {
  std::vector<std::byte> block(144);
  block[1] = static_cast<std::byte>(kHalfOne >> 8);
  block[3] = static_cast<std::byte>(kHalfTwo >> 8);
  std::byte* scales = block.data() + 4;
  scales[9] = static_cast<std::byte>(10 | 3 << 4);
  scales[1] = static_cast<std::byte>(2 << 6);  // scale 42
  scales[5] = static_cast<std::byte>(1 << 6);  // minimum 19
  std::byte* nibbles = block.data() + 16;
  nibbles[5 / 2 * 32 + 8] = static_cast<std::byte>(7 << 4);
  const std::vector<float> values = Decode(GgmlType::kQ4_K, block);
  EXPECT_EQ(values[5 * 32 + 8], 42 * 7 - 2 * 19);
  EXPECT_EQ(values[5 * 32], -2 * 19);
  EXPECT_EQ(values[4 * 32 + 8], 0);
}

}  // namespace
}  // namespace tandem
