#include "model/packed_product.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/aten.h"
#include "model/instruction_set.h"
#include "model/product_kernel.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/make_tensor.h"

namespace tandem {
namespace {

using testing::MaxDifference;
using testing::RandomTensor;

struct Shape {
  int64_t rows, depth, columns;
};

// Around the sizes of the kernel, of a panel, of a piece of the inner dimension
// and of the fewest rows that are packed; the last has several groups of
// panels.
constexpr Shape kProductShapes[] = {
    {1, 1, 1},     {5, 70, 32},    {8, 1030, 48}, {31, 33, 16},  {32, 8, 1},
    {37, 577, 15}, {70, 1200, 63}, {64, 24, 130}, {33, 600, 700}};

at::Tensor ExactProduct(const ProductTerm& term) {
  return term.x.to(at::kDouble).mm(term.matrix.to(at::kDouble));
}

// fp32 sums of `depth` products.
double Rounding(int64_t depth) {
  return 1e-6 * std::sqrt(static_cast<double>(depth)) + 1e-6;
}

// Where the types differ, only shapes that are packed.
void ExpectIsTheProduct(const Shape& shape, const ProductTerm& term) {
  if (term.matrix.scalar_type() != at::kFloat && !PacksWell(term)) return;
  const at::Tensor expected = ExactProduct(term);
  at::Tensor y = at::full({shape.rows, shape.columns}, NAN);
  SumOfProducts({term}, /*accumulate=*/false, y);
  EXPECT_LT(MaxDifference(y, expected), 8 * Rounding(shape.depth))
      << shape.rows << " x " << shape.depth << " x " << shape.columns << " "
      << term.matrix.scalar_type() << " " << term.matrix.strides();
}

TEST(SumOfProducts, IsTheProductInEveryShapeTypeAndLayout) {
  for (const Shape& shape : kProductShapes) {
    const at::Tensor x = RandomTensor({shape.rows, shape.depth}, 1);
    const at::Tensor columns_first =
        RandomTensor({shape.columns, shape.depth}, 2).t();
    for (const at::Tensor& matrix :
         {columns_first, columns_first.contiguous(),
          at::stack({columns_first, columns_first}, 2).select(2, 1)}) {
      ExpectIsTheProduct(shape, {x, matrix});
      ExpectIsTheProduct(shape, {x.t().contiguous().t(), matrix});
      ExpectIsTheProduct(shape, {x, matrix.to(at::kBFloat16)});
    }
  }
}

TEST(SumOfProducts, AddsSeveralTermsToAPartOfATensor) {
  const std::vector<ProductTerm> terms = {
      {RandomTensor({50, 600}, 1), RandomTensor({600, 90}, 2)},
      {RandomTensor({50, 8}, 3), RandomTensor({90, 8}, 4).t()},
      {RandomTensor({50, 700}, 5), RandomTensor({700, 90}, 6)}};
  const at::Tensor before = RandomTensor({50, 120}, 7);
  at::Tensor expected = before.to(at::kDouble);
  for (const ProductTerm& term : terms)
    expected.narrow(1, 13, 90).add_(ExactProduct(term));
  at::Tensor all = before.clone();
  at::Tensor part = all.narrow(1, 13, 90);
  SumOfProducts(terms, /*accumulate=*/true, part);
  EXPECT_LT(MaxDifference(all, expected), 3e-4);
}

TEST(SumOfProducts, HasTheSameBitsOnAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  const std::vector<ProductTerm> terms = {
      {RandomTensor({100, 600}, 1), RandomTensor({600, 90}, 2)},
      {RandomTensor({100, 8}, 3), RandomTensor({8, 90}, 4)}};
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    results.push_back(at::empty({100, 90}));
    SumOfProducts(terms, /*accumulate=*/false, results.back());
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
}

TEST(SumOfProducts, LeavesOtherTypesToLibTorch) {
  const at::Tensor x = RandomTensor({40, 30}, 1).to(at::kDouble),
                   matrix = RandomTensor({30, 20}, 2).to(at::kDouble);
  EXPECT_FALSE(PacksWell({x, matrix}));
  EXPECT_EQ(MaxDifference(Product(x, matrix), x.mm(matrix)), 0);
}

// Panels, where the processor has AVX2 whether or not it prefers them.
TEST(ProductKernel, PacksRowsAsColumnsOfTheTranspose) {
  if (!HasAvx2()) GTEST_SKIP();
  for (const int64_t columns : {16, 5}) {
    const at::Tensor rows = RandomTensor({columns, 29}, 1);
    const at::Tensor by_columns = rows.t().contiguous();
    at::Tensor a = at::empty({29, 16}), b = at::empty({29, 16});
    PackRows(rows.const_data_ptr<float>(), 29, columns, 29,
             a.mutable_data_ptr<float>());
    PackColumns(by_columns.const_data_ptr<float>(), columns, columns, 29,
                b.mutable_data_ptr<float>());
    EXPECT_TRUE(at::equal(a, b));
    EXPECT_TRUE(at::equal(a.narrow(1, 0, columns), by_columns));
    EXPECT_EQ(a.narrow(1, columns, 16 - columns).abs().sum().item<float>(), 0);
  }
}

TEST(ProductKernel, MultipliesEveryNumberOfRowsInBothLayouts) {
  if (!HasAvx2()) GTEST_SKIP();
  const at::Tensor panel = RandomTensor({21, 16}, 1);
  for (int64_t rows = 1; rows <= 13; ++rows) {
    const at::Tensor x = RandomTensor({rows, 21}, 2),
                     by_columns = x.t().contiguous();
    const at::Tensor before = RandomTensor({rows, 20}, 3);
    at::Tensor expected = before.to(at::kDouble);
    expected.narrow(1, 0, 16).add_(ExactProduct({x, panel}));
    for (const StridedMatrix& view :
         {StridedMatrix{x.const_data_ptr<float>(), 21, 1},
          StridedMatrix{by_columns.const_data_ptr<float>(), 1, rows}}) {
      at::Tensor out = before.clone();
      MultiplyByPanel(view, rows, panel.const_data_ptr<float>(), 16, 21,
                      /*accumulate=*/true, out.mutable_data_ptr<float>(), 20);
      EXPECT_LT(MaxDifference(out, expected), 1e-5) << rows;
    }
  }
}

}  // namespace
}  // namespace tandem
