#include "model/frozen_product.h"

#include <gtest/gtest.h>

#include "model/aten.h"
#include "model/int16_product.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/make_tensor.h"

namespace tandem {
namespace {

using testing::MaxDifference;
using testing::RandomTensor;

// Rows and columns that make one tile, a part of one, and several with a rest.
constexpr std::pair<int64_t, int64_t> kShapes[] = {
    {1, 1}, {3, 5}, {700, 1500}, {1049, 1000}};

at::Tensor Widened(const at::Tensor& weight) { return weight.to(at::kDouble); }

// Few rows and, on the right, enough for 16-bit integers.
constexpr int64_t kRows[] = {4, 40};

// The rounding of fp32 sums; of both factors to 16 bits where that is faster.
double Tolerance(const at::Tensor& weight, const at::Tensor& expected) {
  double share = 1e-5;
  if (weight.scalar_type() == at::kBFloat16) {
    if (expected.size(0) >= kLeastInt16Rows && PrefersPacking()) share = 2e-3;
    if (MultipliesBfloat16()) share = 0.02;
  }
  return share * expected.abs().max().item<double>();
}

struct FrozenProductCase {
  int64_t rows, out, in;
  at::ScalarType dtype;
};

std::vector<FrozenProductCase> FrozenProductCases() {
  std::vector<FrozenProductCase> cases;
  for (const auto& [out, in] : kShapes)
    for (const int64_t rows : kRows)
      for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
        cases.push_back({rows, out, in, dtype});
  return cases;
}

class FrozenProductTest : public ::testing::TestWithParam<FrozenProductCase> {};

TEST_P(FrozenProductTest, IsTheProductWithTheWidenedWeight) {
  const auto& [rows, out, in, dtype] = GetParam();
  const at::Tensor weight = RandomTensor({out, in}, 1).to(dtype);
  const at::Tensor x = RandomTensor({rows, in}, 2);
  const at::Tensor expected = x.to(at::kDouble).mm(Widened(weight).t());
  const at::Tensor y = TimesTransposed(x, weight);
  EXPECT_EQ(y.scalar_type(), at::kFloat);
  EXPECT_LT(MaxDifference(y, expected), Tolerance(weight, expected));
  EXPECT_LT(MaxDifference(TimesTransposedExactly(x, weight), expected),
            1e-5 * expected.abs().max().item<double>());
}

TEST_P(FrozenProductTest, IsAddedToTheSum) {
  const auto& [rows, out, in, dtype] = GetParam();
  const at::Tensor weight = RandomTensor({out, in}, 1).to(dtype);
  const at::Tensor x = RandomTensor({rows, out}, 2);
  at::Tensor sum = RandomTensor({rows, in}, 3);
  const at::Tensor expected =
      sum.to(at::kDouble) + x.to(at::kDouble).mm(Widened(weight));
  AddProduct(x, weight, sum);
  EXPECT_LT(MaxDifference(sum, expected), Tolerance(weight, expected));
}

// The other terms are never rounded to 16 bits.
TEST_P(FrozenProductTest, TakesMoreTerms) {
  const auto& [rows, out, in, dtype] = GetParam();
  const at::Tensor weight = RandomTensor({out, in}, 1).to(dtype);
  const at::Tensor x = RandomTensor({rows, in}, 2);
  const at::Tensor low = RandomTensor({rows, 3}, 3),
                   high = RandomTensor({out, 3}, 4);
  const at::Tensor expected =
      TimesTransposed(x, weight).to(at::kDouble) + low.mm(high.t());
  EXPECT_LT(
      MaxDifference(TimesTransposed(x, weight, {{low, high.t()}}), expected),
      1e-5 * expected.abs().max().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Shapes, FrozenProductTest,
                         ::testing::ValuesIn(FrozenProductCases()),
                         [](const auto& tested) {
                           const FrozenProductCase& c = tested.param;
                           return std::to_string(c.rows) + "x" +
                                  std::to_string(c.out) + "x" +
                                  std::to_string(c.in) + at::toString(c.dtype);
                         });

TEST(FrozenProduct, StaysInFp64ForGradientChecks) {
  const at::Tensor weight = RandomTensor({5, 7}, 1).to(at::kDouble);
  const at::Tensor x = RandomTensor({2, 7}, 2).to(at::kDouble);
  EXPECT_EQ(MaxDifference(TimesTransposed(x, weight), x.mm(weight.t())), 0);
}

}  // namespace
}  // namespace tandem
