#include "model/frozen_product.h"

#include <gtest/gtest.h>

#include "model/aten.h"
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

// The rounding of fp32 sums; with native bf16, of every activation too.
double Tolerance(const at::Tensor& weight, const at::Tensor& expected) {
  const bool native =
      weight.scalar_type() == at::kBFloat16 && MultipliesBfloat16();
  return (native ? 0.02 : 1e-5) * expected.abs().max().item<double>();
}

TEST(FrozenProduct, IsTheProductWithTheWidenedWeight) {
  for (const auto& [out, in] : kShapes) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor weight = RandomTensor({out, in}, 1).to(dtype);
      const at::Tensor x = RandomTensor({4, in}, 2);
      const at::Tensor expected = x.to(at::kDouble).mm(Widened(weight).t());
      const at::Tensor y = TimesTransposed(x, weight);
      EXPECT_EQ(y.scalar_type(), at::kFloat);
      EXPECT_LT(MaxDifference(y, expected), Tolerance(weight, expected))
          << out << " x " << in << " " << dtype;
      EXPECT_LT(MaxDifference(TimesTransposedExactly(x, weight), expected),
                1e-5 * expected.abs().max().item<double>());
    }
  }
}

TEST(FrozenProduct, IsAddedToTheSum) {
  for (const auto& [out, in] : kShapes) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const at::Tensor weight = RandomTensor({out, in}, 1).to(dtype);
      const at::Tensor x = RandomTensor({4, out}, 2);
      at::Tensor sum = RandomTensor({4, in}, 3);
      const at::Tensor expected =
          sum.to(at::kDouble) + x.to(at::kDouble).mm(Widened(weight));
      AddProduct(x, weight, sum);
      EXPECT_LT(MaxDifference(sum, expected), Tolerance(weight, expected))
          << out << " x " << in << " " << dtype;
    }
  }
}

TEST(FrozenProduct, StaysInFp64ForGradientChecks) {
  const at::Tensor weight = RandomTensor({5, 7}, 1).to(at::kDouble);
  const at::Tensor x = RandomTensor({2, 7}, 2).to(at::kDouble);
  EXPECT_EQ(MaxDifference(TimesTransposed(x, weight), x.mm(weight.t())), 0);
}

}  // namespace
}  // namespace tandem
