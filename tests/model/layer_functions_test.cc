// The fused layers beside their definitions: values against a plain
// composition, gradients against central differences in fp64.
#include <gmock/gmock.h>

#include "model/aten.h"
#include "model/causal_attention.h"
#include "model/geglu.h"
#include "model/rms_norm.h"
#include "model/rotary_embedding.h"
#include "model/swiglu.h"
#include "tests/testing/fp32_check.h"
#include "tests/testing/gradient_check.h"

namespace tandem {
namespace {

using testing::ExpectGradientsMatchDifferences;
using testing::ExpectSameInFp32;
using testing::MaxDifference;
using testing::RandomDoubles;
using testing::WeightedSum;
using Tensors = std::vector<at::Tensor>;

TEST(RmsNorm, IsItsDefinition) {
  const at::Tensor x = RandomDoubles({5, 7}, 1), w = RandomDoubles({7}, 2, 1);
  const at::Tensor expected = x / (x.square().mean(-1, true) + 0.01).sqrt() * w;
  EXPECT_LT(MaxDifference(RmsNorm(x, w, 0.01), expected), 1e-12);
  EXPECT_LT(
      MaxDifference(RmsNorm(x.to(at::kBFloat16), w.to(at::kBFloat16), 0.01),
                    expected),
      0.05);
}

TEST(RmsNorm, GradientMatchesDifferences) {
  const at::Tensor w = RandomDoubles({7}, 2, 1);
  ExpectGradientsMatchDifferences(
      [&](const Tensors& in) { return WeightedSum(RmsNorm(in[0], w, 0.01)); },
      {RandomDoubles({3, 7}, 1)});
}

TEST(Rotate, TurnsPairsOfHalvesByPositionTimesFrequency) {
  const at::Tensor x = RandomDoubles({2, 8}, 1);  // 2 heads of 4
  const at::Tensor y = Rotate(x, RotaryAnglesAt({0, 3}, 4, 100));
  EXPECT_EQ(MaxDifference(y[0], x[0]), 0);    // position 0 stays
  const double angle = 3 / std::sqrt(100.0);  // pair 1 of head 1
  const double a = x[1][5].item<double>(), b = x[1][7].item<double>();
  EXPECT_NEAR(y[1][5].item<double>(), a * std::cos(angle) - b * std::sin(angle),
              1e-6);
  EXPECT_NEAR(y[1][7].item<double>(), b * std::cos(angle) + a * std::sin(angle),
              1e-6);
}

TEST(Rotate, DotProductDependsOnDistanceAlone) {
  const at::Tensor q = RandomDoubles({1, 8}, 1), k = RandomDoubles({1, 8}, 2);
  auto dot = [&](int64_t i, int64_t j) {
    return (Rotate(q, RotaryAnglesAt({i}, 8, 10000)) *
            Rotate(k, RotaryAnglesAt({j}, 8, 10000)))
        .sum()
        .item<double>();
  };
  EXPECT_NEAR(dot(5, 2), dot(105, 102), 1e-4);
  EXPECT_GT(std::abs(dot(5, 2) - dot(5, 4)), 1e-2);
}

TEST(Rotate, GradientMatchesDifferences) {
  const RotaryAngles angles = RotaryAnglesAt({0, 1, 9}, 4, 100);
  ExpectGradientsMatchDifferences(
      [&](const Tensors& in) { return WeightedSum(Rotate(in[0], angles)); },
      {RandomDoubles({3, 8}, 1)});
}

TEST(SwiGlu, IsItsDefinition) {
  const at::Tensor g = RandomDoubles({3, 5}, 1), u = RandomDoubles({3, 5}, 2);
  EXPECT_LT(MaxDifference(SwiGlu(g, u), g / (1 + (-g).exp()) * u), 1e-12);
}

TEST(SwiGlu, GradientMatchesDifferences) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) { return WeightedSum(SwiGlu(in[0], in[1])); },
      {RandomDoubles({3, 5}, 1), RandomDoubles({3, 5}, 2)});
}

// Vectors of eight and what is left of a row; sigmoids up to their ends.
TEST(SwiGlu, IsItsDefinitionInFp32) {
  for (const auto& [rows, columns] :
       {std::pair(1, 1), {3, 5}, {7, 37}, {33, 1537}})
    ExpectSameInFp32([](const Tensors& in) { return SwiGlu(in[0], in[1]); },
                     [](const Tensors& in) { return at::silu(in[0]) * in[1]; },
                     {20 * RandomDoubles({rows, columns}, 1),
                      RandomDoubles({rows, columns}, 2)});
  const at::Tensor ends = at::tensor({-200.0, -88.0, 0.0, 88.0, 200.0});
  ExpectSameInFp32([](const Tensors& in) { return SwiGlu(in[0], in[1]); },
                   [](const Tensors& in) { return at::silu(in[0]) * in[1]; },
                   {ends.view({1, 5}), at::ones({1, 5}, at::kDouble)});
}

at::Tensor PlainGelu(const at::Tensor& x) {
  const double root = std::sqrt(2 / std::acos(-1.0));
  return x * (1 + at::tanh(root * (x + 0.044715 * x.pow(3)))) / 2;
}

TEST(GeGlu, IsItsDefinition) {
  const at::Tensor g = RandomDoubles({3, 5}, 1), u = RandomDoubles({3, 5}, 2);
  EXPECT_LT(MaxDifference(GeGlu(g, u), PlainGelu(g) * u), 1e-12);
}

TEST(GeGlu, GradientMatchesDifferences) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) { return WeightedSum(GeGlu(in[0], in[1])); },
      {RandomDoubles({3, 5}, 1), RandomDoubles({3, 5}, 2)});
}

TEST(GeGlu, IsItsDefinitionInFp32) {
  ExpectSameInFp32([](const Tensors& in) { return GeGlu(in[0], in[1]); },
                   [](const Tensors& in) { return PlainGelu(in[0]) * in[1]; },
                   {4 * RandomDoubles({7, 37}, 1), RandomDoubles({7, 37}, 2)});
}

TEST(RmsNorm, IsItsDefinitionInFp32) {
  const at::Tensor w = RandomDoubles({577}, 2, 1);
  ExpectSameInFp32(
      [&](const Tensors& in) {
        return RmsNorm(in[0], w.to(in[0].scalar_type()), 1e-5);
      },
      [&](const Tensors& in) {
        return in[0] / (in[0].square().mean(-1, true) + 1e-5).sqrt() * w;
      },
      {RandomDoubles({13, 577}, 1)});
}

// softmax over a masked score matrix, head by head.
at::Tensor PlainAttention(const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v,
                          const std::vector<int64_t>& offsets, int64_t size,
                          const AttentionOptions& options = {}) {
  const int64_t n = q.size(0), heads = q.size(1) / size,
                group = heads / (k.size(1) / size);
  at::Tensor mask = at::full({n, n}, -INFINITY, at::kDouble);
  for (size_t d = 0; d + 1 < offsets.size(); ++d)
    for (int64_t i = offsets[d]; i < offsets[d + 1]; ++i) {
      const int64_t seen = options.window == 0
                               ? i - offsets[d] + 1
                               : std::min(i - offsets[d] + 1, options.window);
      mask[i].narrow(0, i + 1 - seen, seen).zero_();
    }
  Tensors outputs;
  for (int64_t h = 0; h < heads; ++h) {
    const int64_t s = h / group * size;
    const at::Tensor scores =
        q.narrow(1, h * size, size).mm(k.narrow(1, s, size).t()) *
        (options.scale > 0 ? options.scale : 1 / std::sqrt(double(size)));
    outputs.push_back((scores + mask).softmax(-1).mm(v.narrow(1, s, size)));
  }
  return at::cat(outputs, 1);
}

TEST(CausalAttention, IsMaskedSoftmaxWithinEachDocument) {
  const at::Tensor q = RandomDoubles({9, 16}, 1), k = RandomDoubles({9, 8}, 2),
                   v = RandomDoubles({9, 8}, 3);
  const std::vector<int64_t> offsets = {0, 4, 4, 5, 9};  // one empty document
  EXPECT_LT(MaxDifference(CausalAttention(q, k, v, offsets, 4),
                          PlainAttention(q, k, v, offsets, 4)),
            1e-12);
}

TEST(CausalAttention, GradientMatchesDifferences) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) {
        return WeightedSum(CausalAttention(in[0], in[1], in[2], {0, 3, 5}, 2));
      },
      {RandomDoubles({5, 8}, 1), RandomDoubles({5, 4}, 2),
       RandomDoubles({5, 4}, 3)});
}

// Heads of odd multiples, documents shorter and longer than a block of queries.
TEST(CausalAttention, IsItsDefinitionInFp32) {
  const std::vector<int64_t> offsets = {0, 3, 150, 155};
  for (const int64_t size : {2, 12, 64})
    ExpectSameInFp32(
        [&](const Tensors& in) {
          return CausalAttention(in[0], in[1], in[2], offsets, size);
        },
        [&](const Tensors& in) {
          return PlainAttention(in[0], in[1], in[2], offsets, size);
        },
        {RandomDoubles({155, 6 * size}, 1), RandomDoubles({155, 2 * size}, 2),
         RandomDoubles({155, 2 * size}, 3)});
}

// Windows that bite in some documents and not in others, and that need several
// blocks of queries (64 at least).
TEST(CausalAttention, SeesNoFurtherThanItsWindow) {
  const at::Tensor q = RandomDoubles({181, 12}, 1),
                   k = RandomDoubles({181, 4}, 2),
                   v = RandomDoubles({181, 4}, 3);
  const std::vector<int64_t> offsets = {0, 7, 9, 9, 180, 181};
  for (const int64_t window : {1, 5, 7, 64, 90, 171, 172}) {
    const AttentionOptions options = {.scale = 0.3, .window = window};
    EXPECT_LT(MaxDifference(CausalAttention(q, k, v, offsets, 4, options),
                            PlainAttention(q, k, v, offsets, 4, options)),
              1e-12)
        << window;
  }
}

TEST(CausalAttention, GradientOfAWindowIsThatOfThePlainComposition) {
  const std::vector<int64_t> offsets = {0, 3, 150, 155};
  for (const int64_t window : {2, 70}) {
    const AttentionOptions options = {.scale = 0.7, .window = window};
    const auto gradients = [&](auto&& attention) {
      Tensors in = {RandomDoubles({155, 12}, 1), RandomDoubles({155, 4}, 2),
                    RandomDoubles({155, 4}, 3)};
      for (at::Tensor& x : in) x.requires_grad_();
      WeightedSum(attention(in[0], in[1], in[2], offsets, 2, options))
          .backward();
      return Tensors{in[0].grad(), in[1].grad(), in[2].grad()};
    };
    const Tensors ours = gradients(CausalAttention),
                  expected = gradients(PlainAttention);
    for (size_t i = 0; i < 3; ++i)
      EXPECT_LT(MaxDifference(ours[i], expected[i]), 1e-11) << window << i;
  }
}

TEST(CachedAttention, IsTheLastRowsOfWindowedAttention) {
  const at::Tensor q = RandomDoubles({19, 16}, 1).to(at::kFloat),
                   k = RandomDoubles({19, 8}, 2).to(at::kFloat),
                   v = RandomDoubles({19, 8}, 3).to(at::kFloat);
  const at::Tensor keys = k.view({19, 2, 4}).transpose(0, 1),
                   values = v.view({19, 2, 4}).transpose(0, 1);
  for (const int64_t window : {1, 3, 19, 40}) {
    const AttentionOptions options = {.scale = 0.3, .window = window};
    const at::Tensor all = CausalAttention(q, k, v, {0, 19}, 4, options);
    for (const int64_t n : {1, 4, 19})
      EXPECT_LT(MaxDifference(CachedAttention(q.narrow(0, 19 - n, n), keys,
                                              values, options),
                              all.narrow(0, 19 - n, n)),
                1e-6)
          << window << " " << n;
  }
}

TEST(CachedAttention, IsTheLastRowsOfCausalAttention) {
  const at::Tensor q = RandomDoubles({9, 16}, 1).to(at::kFloat),
                   k = RandomDoubles({9, 8}, 2).to(at::kFloat),
                   v = RandomDoubles({9, 8}, 3).to(at::kFloat);
  const at::Tensor all = CausalAttention(q, k, v, {0, 9}, 4);
  const at::Tensor keys = k.view({9, 2, 4}).transpose(0, 1),
                   values = v.view({9, 2, 4}).transpose(0, 1);
  for (const int64_t n : {1, 4})
    EXPECT_LT(
        MaxDifference(CachedAttention(q.narrow(0, 9 - n, n), keys, values),
                      all.narrow(0, 9 - n, n)),
        1e-6);
}

}  // namespace
}  // namespace tandem
