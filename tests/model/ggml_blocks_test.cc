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
  std::vector<float> q4(32), q5(32), q8(32);
  for (int j = 0; j < 32; ++j) {
    q4[j] = 0.5f * static_cast<float>(j % 16 - 8);
    q5[j] = 0.5f * static_cast<float>(j - 16);
    q8[j] = 0.25f * static_cast<float>(j * 8 - 127);
  }
  EXPECT_EQ(RoundTrip(GgmlType::kQ4_0, q4), q4);
  EXPECT_EQ(RoundTrip(GgmlType::kQ5_0, q5), q5);
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
  const std::vector<float> zeros(256, 0.0f);
  for (const GgmlType type : {GgmlType::kQ4_0, GgmlType::kQ5_0, GgmlType::kQ8_0,
                              GgmlType::kQ4_K, GgmlType::kQ6_K}) {
    EXPECT_THAT(RoundTrip(type, zeros), Each(0.0f)) << FormatOf(type).name;
  }
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

constexpr double kFewPerCent = 1.05 * 1.05;  // of a root mean square

double SquaredError(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * static_cast<double>(a[i] - b[i]);
  }
  return sum;
}

// The least squared error of 32 weights that scales d s - d_min m can give.
double LeastError(const float* x, float d, float d_min) {
  double least = INFINITY;
  for (int pair = 0; pair < 64 * 64; ++pair) {
    const float scale = d * static_cast<float>(pair % 64);
    const float minimum = d_min * static_cast<float>(pair / 64);
    double sum = 0;
    for (int j = 0; j < 32; ++j) {
      const float level =
          scale > 0 ? std::round((x[j] + minimum) / scale) : 0.0f;
      const float error =
          scale * std::clamp(level, 0.0f, 15.0f) - minimum - x[j];
      sum += error * error;
    }
    least = std::min(least, sum);
  }
  return least;
}

// All 4096 pairs of every group against the encoder's few, for scales like its
// own and for smaller ones.
TEST(GgmlBlocks, Q4KIsCloseToTheBestOfAllScalesAndMinima) {
  std::vector<float> values = RandomValues(256);
  for (int j = 0; j < 256; ++j) values[j] += j < 128 ? 0.0f : 1.5f;
  const GgmlFormat& format = FormatOf(GgmlType::kQ4_K);
  std::vector<std::byte> block(144);
  format.encode(values.data(), 1, block.data());
  const double error = SquaredError(Decode(GgmlType::kQ4_K, block), values);
  // One weight in each of these reads d or d_min back.
  const auto half = [&](size_t at) {
    std::vector<std::byte> bytes = {block[at], block[at + 1]};
    return Decode(GgmlType::kF16, bytes)[0];
  };
  for (const float shrink : {1.0f, 0.97f, 0.94f}) {
    double least = 0;
    for (int group = 0; group < 8; ++group) {
      least += LeastError(values.data() + group * 32, half(0) * shrink,
                          half(2) * shrink);
    }
    EXPECT_LE(error, least * kFewPerCent) << shrink;
    EXPECT_GE(error, least * 0.9) << shrink;
  }
}

// 256 scales of every group of 16, d being the encoder's own.
TEST(GgmlBlocks, Q6KIsCloseToTheBestOfAllScales) {
  const std::vector<float> values = RandomValues(256);
  const GgmlFormat& format = FormatOf(GgmlType::kQ6_K);
  std::vector<std::byte> block(210);
  format.encode(values.data(), 1, block.data());
  const float d = Decode(GgmlType::kF16, {block[208], block[209]})[0];
  double least = 0;
  for (int group = 0; group < 16; ++group) {
    double best = INFINITY;
    for (int s = -128; s < 128; ++s) {
      const float scale = d * static_cast<float>(s);
      double sum = 0;
      for (int j = group * 16; j < group * 16 + 16; ++j) {
        const float level = s != 0 ? std::round(values[j] / scale) : 0.0f;
        const float error =
            scale * std::clamp(level, -32.0f, 31.0f) - values[j];
        sum += error * error;
      }
      best = std::min(best, sum);
    }
    least += best;
  }
  const double error = SquaredError(Decode(GgmlType::kQ6_K, block), values);
  EXPECT_LE(error, least * kFewPerCent);
  EXPECT_GE(error, least * 0.999);
}

// Constant, one-sided, tiny and lonely values: the corners of the searches.
// Half a step is the bound; a Q4_K group steps from its least value, or 0, up.
TEST(GgmlBlocks, KQuantsKeepUnusualBlocks) {
  std::vector<std::vector<float>> blocks(5, std::vector<float>(256, 0.0f));
  for (int j = 0; j < 256; ++j) {
    blocks[0][j] = 3;
    blocks[1][j] = -3;
    blocks[2][j] = 1 + 0.01f * static_cast<float>(j % 7);
    blocks[3][j] = 1e-2f * static_cast<float>(j % 5 - 2);
  }
  blocks[4][77] = -1000;
  for (const std::vector<float>& block : blocks) {
    const auto [low, high] = std::minmax_element(block.begin(), block.end());
    const float range = std::max(*high, 0.0f) - std::min(*low, 0.0f);
    const auto q4 = RoundTrip(GgmlType::kQ4_K, block);
    const auto q6 = RoundTrip(GgmlType::kQ6_K, block);
    for (int j = 0; j < 256; ++j) {
      EXPECT_NEAR(q4[j], block[j], range / 15 / 2 * 1.05f) << j;
      EXPECT_NEAR(q6[j], block[j], range / 31 / 2 * 1.05f) << j;
    }
  }
}

}  // namespace
}  // namespace tandem
