#include "model/int16_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "model/aten.h"
#include "model/instruction_set.h"
#include "model/int16_kernel.h"
#include "model/int16_panels.h"
#include "tests/testing/make_tensor.h"

namespace tandem {
namespace {

using testing::RandomTensor;

struct Int16Shape {
  int64_t rows, depth, columns;
};

// Around the sizes of the kernel, of its steps, of a block, of a panel, of a
// piece of the depth and of a group of panels.
constexpr Int16Shape kInt16Shapes[] = {
    {1, 1, 1},     {6, 128, 16},   {7, 63, 15},   {37, 129, 17},
    {40, 576, 33}, {32, 641, 130}, {5, 1151, 20}, {200, 140, 48}};

// Half a step of each element's block: [rows, depth] double.
at::Tensor HalfSteps(const at::Tensor& x) {
  at::Tensor steps = at::zeros(x.sizes(), at::kDouble);
  for (int64_t from = 0; from < x.size(1); from += kInt16Block) {
    const int64_t n = std::min(kInt16Block, x.size(1) - from);
    const at::Tensor block = x.narrow(1, from, n).to(at::kDouble).abs();
    steps.narrow(1, from, n)
        .copy_(std::get<0>(block.max(1, true)) / (2 * kMaxInt16));
  }
  return steps;
}

at::Tensor Fp32Errors(const at::Tensor& x, const at::Tensor& matrix) {
  return 1e-6 * x.to(at::kDouble).abs().mm(matrix.to(at::kDouble).abs());
}

// What rounding both by half a step can make of a product, and fp32's rounding.
at::Tensor LargestErrors(const at::Tensor& x, const at::Tensor& matrix) {
  const at::Tensor left = x.to(at::kDouble).abs(), left_steps = HalfSteps(x);
  const at::Tensor right = matrix.to(at::kDouble).abs();
  const at::Tensor right_steps = HalfSteps(matrix.t()).t();
  return left.mm(right_steps) + left_steps.mm(right + right_steps) +
         Fp32Errors(x, matrix);
}

void ExpectIsInt16Product(const at::Tensor& x, const at::Tensor& matrix) {
  const at::Tensor exact = x.to(at::kDouble).mm(matrix.to(at::kDouble));
  const at::Tensor bounds = LargestErrors(x, matrix);
  at::Tensor y = at::full(exact.sizes(), NAN);
  Int16Product(x, matrix, /*accumulate=*/false, y);
  EXPECT_TRUE(((y - exact).abs() <= bounds).all().item<bool>())
      << x.sizes() << " x " << matrix.sizes() << " " << matrix.scalar_type();
  const at::Tensor once = y.clone();
  Int16Product(x, matrix, /*accumulate=*/true, y);
  EXPECT_TRUE(
      ((y - 2 * once).abs() <= 2 * Fp32Errors(x, matrix)).all().item<bool>());
}

class Int16ProductTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasAvx2()) GTEST_SKIP();
  }
};

// bf16 [depth, kPanelColumns] with a column of zeros, one of tiny numbers and
// one that is not finite.
at::Tensor OddPanel(int64_t depth) {
  at::Tensor panel = RandomTensor({depth, kPanelColumns}, depth);
  panel.select(1, 3).zero_();
  panel.select(1, 9).mul_(1e-35);
  panel.select(1, 14)[depth - 1] = INFINITY;
  return panel.to(at::kBFloat16);
}

struct RoundedPanel {
  std::vector<int16_t> values;
  std::vector<float> scales = std::vector<float>(kPanelColumns);

  explicit RoundedPanel(int64_t depth)
      : values(Int16Depth(depth) * kPanelColumns) {}
};

void ExpectSamePanel(const RoundedPanel& a, const RoundedPanel& b) {
  for (int64_t c = 0; c < kPanelColumns; ++c) {
    const bool is_finite = !std::isnan(b.scales[c]);
    EXPECT_EQ(std::isnan(a.scales[c]), !is_finite) << c;
    if (!is_finite) continue;
    EXPECT_EQ(a.scales[c], b.scales[c]) << c;
    for (size_t i = 0; i < a.values.size(); i += 2 * kPanelColumns)
      for (const size_t at : {i + 2 * c, i + 2 * c + 1})
        EXPECT_EQ(a.values[at], b.values[at]) << c << " " << i;
  }
}

TEST_F(Int16ProductTest, PanelsOfBfloat16AreThoseByWayOfFp32) {
  for (const int64_t depth : {1, 2, 15, 16, 48, 127, 128}) {
    const at::Tensor panel = OddPanel(depth);
    RoundedPanel expected(depth), by_columns(depth), by_rows(depth);
    const at::Tensor wide = panel.to(at::kFloat).contiguous();
    RoundPanelBlock(wide.const_data_ptr<float>(), depth, expected.values.data(),
                    expected.scales.data());
    // In a matrix that is wider than a panel, and longer.
    const at::Tensor rows = at::cat({panel, panel}, 1);
    const auto bits = [](const at::Tensor& x) {
      return static_cast<const uint16_t*>(x.const_data_ptr());
    };
    RoundBfloat16Columns(bits(rows), rows.stride(0), depth,
                         by_columns.values.data(), by_columns.scales.data());
    ExpectSamePanel(by_columns, expected);
    if (depth % kBfloat16RowsStep != 0) continue;
    const at::Tensor columns = at::cat({panel, panel}, 0).t().contiguous();
    RoundBfloat16Rows(bits(columns), columns.stride(0), depth,
                      by_rows.values.data(), by_rows.scales.data());
    ExpectSamePanel(by_rows, expected);
  }
}

TEST_F(Int16ProductTest, IsTheProductWithinItsRounding) {
  for (const Int16Shape& shape : kInt16Shapes) {
    const at::Tensor x = RandomTensor({shape.rows, shape.depth}, 1);
    const at::Tensor wide = RandomTensor({shape.rows, shape.depth + 9}, 1);
    const at::Tensor by_columns =
        RandomTensor({shape.columns, shape.depth}, 2).t();
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      ExpectIsInt16Product(x, by_columns.to(type));
      ExpectIsInt16Product(x, by_columns.contiguous().to(type));
      ExpectIsInt16Product(wide.narrow(1, 3, shape.depth), by_columns.to(type));
      ExpectIsInt16Product(x.t().contiguous().t(), by_columns.to(type));
    }
  }
}

TEST_F(Int16ProductTest, WritesIntoColumnsOfAWiderMatrix) {
  const at::Tensor x = RandomTensor({9, 70}, 1), w = RandomTensor({70, 21}, 2);
  at::Tensor plain = at::empty({9, 21}), wide = at::full({9, 30}, 5.0f);
  at::Tensor part = wide.narrow(1, 4, 21);
  Int16Product(x, w, /*accumulate=*/false, plain);
  Int16Product(x, w, /*accumulate=*/false, part);
  EXPECT_TRUE(at::equal(part, plain));
  EXPECT_TRUE((wide.narrow(1, 0, 4) == 5).all().item<bool>());
  EXPECT_TRUE((wide.narrow(1, 25, 5) == 5).all().item<bool>());
}

// An outlier costs its own block precision, no other: here it meets zeros.
TEST_F(Int16ProductTest, KeepsSmallBlocksBesideAnOutlier) {
  at::Tensor x = RandomTensor({6, 256}, 1).mul_(1e-3);
  at::Tensor w = RandomTensor({256, 16}, 2);
  x.narrow(1, 0, 128).fill_(1e4);
  w.narrow(0, 0, 128).zero_();
  ExpectIsInt16Product(x, w);
}

// All magnitudes at their largest: the sums that 32 bits must hold.
TEST_F(Int16ProductTest, HoldsTheLargestSums) {
  for (const float sign : {1.0f, -1.0f}) {
    at::Tensor y = at::empty({6, 16});
    Int16Product(at::full({6, 576}, 3.0f), at::full({576, 16}, sign * 2.0f),
                 /*accumulate=*/false, y);
    EXPECT_TRUE(at::allclose(y, at::full({6, 16}, sign * 6.0f * 576)));
  }
}

TEST_F(Int16ProductTest, CarriesWhatIsNotFinite) {
  constexpr float kBad[] = {NAN, std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()};
  for (const float bad : kBad) {
    at::Tensor x = RandomTensor({8, 130}, 1), w = RandomTensor({130, 20}, 2);
    at::Tensor y = at::empty({8, 20});
    x[3][70] = bad;
    w[129][18] = bad;
    Int16Product(x, w, /*accumulate=*/false, y);
    const at::Tensor is_nan = y.isnan();
    EXPECT_TRUE(is_nan[3].all().item<bool>());
    EXPECT_TRUE(is_nan.select(1, 18).all().item<bool>());
    EXPECT_EQ(is_nan.sum().item<int64_t>(), 20 + 8 - 1);
  }
}

TEST_F(Int16ProductTest, TakesWhatIsNearlyZeroForZero) {
  at::Tensor y = at::empty({6, 16});
  Int16Product(at::full({6, 64}, 1e-38f), at::ones({64, 16}),
               /*accumulate=*/false, y);
  EXPECT_TRUE(at::equal(y, at::zeros({6, 16})));
}

}  // namespace
}  // namespace tandem
