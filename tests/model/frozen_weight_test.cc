#include "model/frozen_weight.h"

#include <gtest/gtest.h>

#include "model/aten.h"
#include "model/frozen_product.h"
#include "model/row_product.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/make_tensor.h"
#include "tests/testing/random_blocks.h"

namespace tandem {
namespace {

using testing::kQuantisedTypes;
using testing::MaxDifference;
using testing::RandomBlocks;
using testing::RandomTensor;

// Row by row, in the order of the model.
at::Tensor Decoded(const BlockMatrix& blocks) {
  at::Tensor values = at::empty({blocks.rows, blocks.columns}, at::kFloat);
  for (int64_t row = 0; row < blocks.rows; ++row)
    blocks.format->decode(
        blocks.data +
            (blocks.stored_rows.empty() ? row : blocks.stored_rows[row]) *
                blocks.blocks_in_row() * blocks.format->block_bytes,
        blocks.blocks_in_row(), values[row].mutable_data_ptr<float>());
  return values;
}

FrozenWeight Reordered(GgmlType type, int64_t rows, int64_t columns) {
  auto blocks = RandomBlocks(type, rows, columns, 3);
  for (int64_t row = 0; row < rows; ++row)
    blocks->stored_rows.push_back(static_cast<int32_t>((row * 2 + 1) % rows));
  return FrozenWeight(blocks);
}

TEST(FrozenWeight, GivesTheRowsOfItsBlocks) {
  for (const GgmlType type : kQuantisedTypes) {
    const FrozenWeight weight = Reordered(type, 71, 256);
    const at::Tensor all = Decoded(*weight.blocks());
    EXPECT_TRUE(at::equal(weight.To(at::kFloat), all));
    EXPECT_TRUE(at::equal(weight.To(at::kBFloat16), all.to(at::kBFloat16)));
    const at::Tensor ids = at::tensor({70, 0, 33, 33}, at::kLong);
    EXPECT_TRUE(at::equal(weight.SelectRows(ids), all.index_select(0, ids)));
    at::Tensor rows = at::empty({5, 256}, at::kDouble);
    weight.CopyRows(66, rows);
    EXPECT_TRUE(at::equal(rows, all.narrow(0, 66, 5).to(at::kDouble)));
  }
  const FrozenWeight weight = Reordered(GgmlType::kQ8_0, 7, 32);
  EXPECT_THROW(weight.SelectRows(at::tensor({7}, at::kLong)), c10::Error);
  EXPECT_THROW(weight.SelectRows(at::tensor({-1}, at::kLong)), c10::Error);
}

// A matrix that makes one tile, so that both are the same call of the same
// library.
TEST(FrozenWeight, ProductsAreThoseOfTheDequantisedWeight) {
  for (const GgmlType type : kQuantisedTypes) {
    const FrozenWeight blocks = Reordered(type, 37, 512);
    const at::ScalarType dtype =
        MultipliesBfloat16() ? at::kBFloat16 : at::kFloat;
    const FrozenWeight dequantised = blocks.To(dtype);
    const at::Tensor x = RandomTensor({5, 512}, 1),
                     g = RandomTensor({5, 37}, 2);
    EXPECT_TRUE(
        at::equal(TimesTransposed(x, blocks), TimesTransposed(x, dequantised)));
    EXPECT_TRUE(at::equal(TimesTransposedExactly(x, blocks),
                          TimesTransposedExactly(x, blocks.To(at::kFloat))));
    at::Tensor a = at::ones({5, 512}), b = at::ones({5, 512});
    AddProduct(g, blocks, a);
    AddProduct(g, dequantised, b);
    EXPECT_TRUE(at::equal(a, b));
  }
}

TEST(FrozenWeight, ProductsOfSeveralTiles) {
  const FrozenWeight blocks = Reordered(GgmlType::kQ4_1, 1049, 1024);
  const at::Tensor x = RandomTensor({3, 1024}, 1);
  const at::Tensor expected = x.to(at::kDouble).mm(blocks.To(at::kDouble).t());
  EXPECT_LT(MaxDifference(TimesTransposedExactly(x, blocks), expected),
            1e-5 * expected.abs().max().item<double>());
}

// All rows in three uneven parts, as threads take them.
at::Tensor RunInParts(const RowProduct& product, const at::Tensor& x) {
  std::vector<ActivationRow> rows(x.size(0));
  at::Tensor y = at::empty({x.size(0), product.out()});
  std::vector<float*> pointers;
  for (int64_t s = 0; s < x.size(0); ++s) {
    rows[s].Assign(x[s].const_data_ptr<float>(), x.size(1), product.rounds());
    pointers.push_back(y[s].mutable_data_ptr<float>());
  }
  const int64_t cuts[] = {0, product.out() / 4, product.out() / 2,
                          product.out()};
  for (int i = 0; i < 3; ++i)
    product.Run(rows.data(), x.size(0), cuts[i], cuts[i + 1], pointers.data());
  return y;
}

TEST(RowProduct, IsExactForFloatsAndUnroundedFormats) {
  const at::Tensor x = RandomTensor({3, 256}, 1);
  const at::Tensor dense = RandomTensor({37, 256}, 2);
  const at::Tensor bias = RandomTensor({37}, 3), gain = RandomTensor({37}, 6);
  const at::Tensor a = RandomTensor({5, 256}, 4), b = RandomTensor({37, 5}, 5);
  const FrozenWeight weights[] = {dense, dense.to(at::kBFloat16),
                                  dense.to(at::kHalf),
                                  Reordered(GgmlType::kQ2_K, 37, 256),
                                  Reordered(GgmlType::kIQ4_NL, 37, 256)};
  for (const FrozenWeight& weight : weights) {
    const RowProduct product(weight, bias, a, b.to(at::kDouble), 0.25);
    EXPECT_FALSE(product.rounds());
    const at::Tensor sum =
        x.mm(weight.To(at::kFloat).t()) + x.mm(a.t()).mm(b.t()) * 0.25;
    EXPECT_LT(MaxDifference(RunInParts(product, x), sum + bias), 1e-4);
    const RowProduct dora(weight, bias, a, b, 0.25, gain);
    EXPECT_LT(MaxDifference(RunInParts(dora, x), sum * gain + bias), 1e-4);
  }
}

// Block by block, |error| <= sum |w| scale / 2; taken over all rows as the
// largest.
TEST(RowProduct, IsOffByTheRoundingOfActivationsAtMost) {
  const at::Tensor x = RandomTensor({2, 512}, 1);
  const at::Tensor steps =
      x.abs().view({2, 16, 32}).amax(-1, true).expand({2, 16, 32}) / 127;
  for (const GgmlType type : kQuantisedTypes) {
    const FrozenWeight weight = Reordered(type, 38, 512);
    const RowProduct product(weight, {}, {}, {}, 0);
    const at::Tensor w = weight.To(at::kFloat);
    const at::Tensor bound = steps.reshape({2, 512}).mm(w.abs().t()) / 2 + 1e-3;
    const at::Tensor error = RunInParts(product, x) - x.mm(w.t());
    EXPECT_TRUE((error.abs() <= bound).all().item<bool>())
        << FormatOf(type).name;
  }
}

}  // namespace
}  // namespace tandem
