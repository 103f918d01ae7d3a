#include "model/block_dot.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/random_blocks.h"

namespace tandem {
namespace {

std::vector<float> RandomActivations(int64_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<float> x(size);
  for (float& value : x) value = static_cast<float>(random.Normal());
  return x;
}

TEST(Int8Row, IsWithinHalfAStepOfTheActivations) {
  std::vector<float> x = RandomActivations(96, 1);
  std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
  Int8Row row;
  row.Assign(x.data(), 96);
  ASSERT_EQ(row.values.size(), 96);
  ASSERT_EQ(row.scales.size(), 6);
  for (int b = 0; b < 3; ++b) {
    const float scale = row.scales[2 * b];
    float largest = 0;
    int sum = 0;
    for (int i = 32 * b; i < 32 * (b + 1); ++i) {
      EXPECT_LE(std::fabs(x[i] - scale * static_cast<float>(row.values[i])),
                0.5001f * scale);
      largest = std::max(largest, std::fabs(x[i]));
      sum += row.values[i];
    }
    EXPECT_FLOAT_EQ(scale, largest / 127);
    EXPECT_FLOAT_EQ(row.scales[2 * b + 1], scale * static_cast<float>(sum));
  }
}

// One row in double precision: with the rounded activations, the exact ones,
// and how far rounding may put them apart.
struct Expected {
  double rounded = 0, exact = 0, bound = 0, magnitude = 0;
};

Expected Dot(const BlockMatrix& matrix, int64_t row,
             const std::vector<float>& x, const Int8Row& rounded) {
  std::vector<float> weights(matrix.columns);
  matrix.DecodeRow(row, weights.data());
  Expected e;
  for (int64_t i = 0; i < matrix.columns; ++i) {
    const double w = weights[i], scale = rounded.scales[i / 32 * 2];
    e.rounded += w * scale * rounded.values[i];
    e.exact += w * x[i];
    e.bound += std::fabs(w) * scale / 2;
    // Minima are subtracted from sums that are larger than the result.
    e.magnitude += (std::fabs(w) + 1) * std::fabs(x[i]);
  }
  return e;
}

class BlockDotOf : public ::testing::TestWithParam<InstructionSet> {};

TEST_P(BlockDotOf, IsTheDotProductWithRoundedActivations) {
  if (GetParam() > BestInstructionSet())
    GTEST_SKIP() << "this processor lacks it";
  for (const GgmlType type : testing::kQuantisedTypes) {
    const BlockDot dot = FindBlockDot(type, GetParam());
    if (dot == nullptr) continue;
    for (const int64_t blocks : {1, 2, 7}) {
      const int64_t columns = blocks * FormatOf(type).block_values;
      const auto matrix =
          testing::RandomBlocks(type, kDotRows, columns, blocks);
      const std::vector<float> x = RandomActivations(columns, 5);
      Int8Row rounded;
      rounded.Assign(x.data(), columns);
      const std::byte* rows[kDotRows];
      for (int r = 0; r < kDotRows; ++r) rows[r] = matrix->Row(r);
      float results[kDotRows];
      dot(rows, blocks, rounded, results);
      for (int r = 0; r < kDotRows; ++r) {
        const Expected e = Dot(*matrix, r, x, rounded);
        EXPECT_NEAR(results[r], e.rounded, 2e-6 * e.magnitude)
            << FormatOf(type).name;
        EXPECT_LE(std::fabs(results[r] - e.exact), e.bound + 2e-6 * e.magnitude)
            << FormatOf(type).name;
      }
    }
  }
}

std::string NameOfSet(const ::testing::TestParamInfo<InstructionSet>& info) {
  switch (info.param) {
    case InstructionSet::kPortable:
      return "Portable";
    case InstructionSet::kAvx2:
      return "Avx2";
    case InstructionSet::kVnni:
      break;
  }
  return "Vnni";
}

INSTANTIATE_TEST_SUITE_P(Sets, BlockDotOf,
                         ::testing::Values(InstructionSet::kPortable,
                                           InstructionSet::kAvx2,
                                           InstructionSet::kVnni),
                         NameOfSet);

TEST(BlockDot, HasTheFormatsOfRealFiles) {
  int found = 0;
  for (const GgmlType type : testing::kQuantisedTypes)
    found += FindBlockDot(type) != nullptr;
  EXPECT_EQ(found, 8);
  EXPECT_EQ(FindBlockDot(GgmlType::kF16), nullptr);
  EXPECT_EQ(FindBlockDot(GgmlType::kQ3_K), nullptr);
}

}  // namespace
}  // namespace tandem
