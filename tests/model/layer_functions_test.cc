// The fused layers beside their definitions: values against a plain
// composition, gradients against central differences in fp64.
#include <gmock/gmock.h>

#include "model/aten.h"
#include "model/causal_attention.h"
#include "model/dora.h"
#include "model/frozen_product.h"
#include "model/geglu.h"
#include "model/lora_dropout.h"
#include "model/lora_linear.h"
#include "model/rms_norm.h"
#include "model/rotary_embedding.h"
#include "model/swiglu.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using testing::ExpectGradientsMatchDifferences;
using testing::MaxDifference;
using Tensors = std::vector<at::Tensor>;

at::Tensor Random(at::IntArrayRef shape, uint64_t seed, double mean = 0) {
  SeededRandom random(seed);
  return testing::RandomTensor(random, shape, 1, mean).to(at::kDouble);
}

// A loss that weights every element differently, so that no error cancels.
at::Tensor WeightedSum(const at::Tensor& y) {
  return (y * Random(y.sizes(), 99)).sum();
}

TEST(RmsNorm, IsItsDefinition) {
  const at::Tensor x = Random({5, 7}, 1), w = Random({7}, 2, 1);
  const at::Tensor expected = x / (x.square().mean(-1, true) + 0.01).sqrt() * w;
  EXPECT_LT(MaxDifference(RmsNorm(x, w, 0.01), expected), 1e-12);
  EXPECT_LT(
      MaxDifference(RmsNorm(x.to(at::kBFloat16), w.to(at::kBFloat16), 0.01),
                    expected),
      0.05);
}

TEST(RmsNorm, GradientMatchesDifferences) {
  const at::Tensor w = Random({7}, 2, 1);
  ExpectGradientsMatchDifferences(
      [&](const Tensors& in) { return WeightedSum(RmsNorm(in[0], w, 0.01)); },
      {Random({3, 7}, 1)});
}

TEST(Rotate, TurnsPairsOfHalvesByPositionTimesFrequency) {
  const at::Tensor x = Random({2, 8}, 1);  // 2 heads of 4
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
  const at::Tensor q = Random({1, 8}, 1), k = Random({1, 8}, 2);
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
      {Random({3, 8}, 1)});
}

TEST(SwiGlu, IsItsDefinition) {
  const at::Tensor g = Random({3, 5}, 1), u = Random({3, 5}, 2);
  EXPECT_LT(MaxDifference(SwiGlu(g, u), g / (1 + (-g).exp()) * u), 1e-12);
}

TEST(SwiGlu, GradientMatchesDifferences) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) { return WeightedSum(SwiGlu(in[0], in[1])); },
      {Random({3, 5}, 1), Random({3, 5}, 2)});
}

at::Tensor PlainGelu(const at::Tensor& x) {
  const double root = std::sqrt(2 / std::acos(-1.0));
  return x * (1 + at::tanh(root * (x + 0.044715 * x.pow(3)))) / 2;
}

TEST(GeGlu, IsItsDefinition) {
  const at::Tensor g = Random({3, 5}, 1), u = Random({3, 5}, 2);
  EXPECT_LT(MaxDifference(GeGlu(g, u), PlainGelu(g) * u), 1e-12);
}

TEST(GeGlu, GradientMatchesDifferences) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) { return WeightedSum(GeGlu(in[0], in[1])); },
      {Random({3, 5}, 1), Random({3, 5}, 2)});
}

// Two adapted layers around one that is not, of unequal ranks.
Tensors ThreeProjections(const Tensors& in, const LoraDropout& dropout = {}) {
  const at::Tensor w0 = Random({4, 6}, 10), w1 = Random({3, 6}, 11),
                   w2 = Random({5, 6}, 12);
  return LoraLinear(
      in[0], {{w0, in[1], in[2], 0.7}, {w1, {}, {}}, {w2, in[3], in[4], 0.3}},
      dropout);
}
Tensors ThreeProjectionInputs() {
  return {Random({7, 6}, 1), Random({2, 6}, 2), Random({4, 2}, 3),
          Random({3, 6}, 4), Random({5, 3}, 5)};
}

TEST(LoraLinear, IsItsDefinition) {
  const Tensors in = ThreeProjectionInputs(), y = ThreeProjections(in);
  const at::Tensor x = in[0];
  const at::Tensor full = Random({4, 6}, 10) + 0.7 * in[2].mm(in[1]);
  EXPECT_LT(MaxDifference(y[0], x.mm(full.t())), 1e-12);
  EXPECT_LT(MaxDifference(y[1], x.mm(Random({3, 6}, 11).t())), 1e-12);
  const at::Tensor full2 = Random({5, 6}, 12) + 0.3 * in[4].mm(in[3]);
  EXPECT_LT(MaxDifference(y[2], x.mm(full2.t())), 1e-12);
}

TEST(LoraLinear, GradientMatchesDifferences) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) {
        const Tensors y = ThreeProjections(in);
        return WeightedSum(y[0]) + WeightedSum(y[1]) + WeightedSum(y[2]);
      },
      ThreeProjectionInputs());
}

constexpr LoraDropout kDropsAThird = {1.0 / 3, 17};

// What dropout leaves of x [tokens, in].
at::Tensor AfterDropout(const at::Tensor& x) {
  const at::Tensor mask =
      DropoutMask(x.size(0), x.size(1), kDropsAThird.probability, 17);
  return x * mask * 1.5;
}

TEST(DropoutMask, DropsItsShareAndDependsOnTheSeedAlone) {
  const at::Tensor mask = DropoutMask(301, 101, 0.1, 5);
  EXPECT_NEAR(mask.to(at::kDouble).mean().item<double>(), 0.9, 0.01);
  EXPECT_TRUE(at::equal(mask, DropoutMask(301, 101, 0.1, 5)));
  EXPECT_FALSE(at::equal(mask, DropoutMask(301, 101, 0.1, 6)));
  EXPECT_FALSE(at::equal(mask[0], mask[1]));
  EXPECT_TRUE(DropoutMask(3, 5, 0, 1).all().item<bool>());
}

TEST(LoraLinear, DropsTheInputOfTheFactorsAlone) {
  const Tensors in = ThreeProjectionInputs(),
                y = ThreeProjections(in, kDropsAThird);
  const at::Tensor x = in[0], d = AfterDropout(x);
  const at::Tensor expected =
      x.mm(Random({4, 6}, 10).t()) + 0.7 * d.mm(in[1].t()).mm(in[2].t());
  EXPECT_LT(MaxDifference(y[0], expected), 1e-12);
  EXPECT_LT(MaxDifference(y[1], x.mm(Random({3, 6}, 11).t())), 1e-12);
}

TEST(LoraLinear, MakesItsInputAgainByTheRecipe) {
  const Tensors in = ThreeProjectionInputs();
  const auto gradients = [&](bool by_recipe) {
    at::Tensor root = in[0].clone().requires_grad_();
    at::Tensor a = in[1].clone().requires_grad_(),
               b = in[2].clone().requires_grad_();
    const at::Tensor x = root.square();
    const LinearInput input =
        by_recipe
            ? LinearInput(x, {root},
                          [](const Tensors& kept) { return kept[0].square(); })
            : LinearInput(x);
    const at::Tensor y =
        LoraLinear(input, {{Random({4, 6}, 10), a, b, 0.7}}, kDropsAThird)[0];
    // What the recipe does not name may change: it is not looked at again.
    if (by_recipe) x.detach().zero_();
    return torch::autograd::grad({WeightedSum(y)}, {root, a, b});
  };
  const Tensors kept = gradients(false), made = gradients(true);
  for (size_t i = 0; i < kept.size(); ++i)
    EXPECT_TRUE(at::equal(kept[i], made[i])) << i;
}

TEST(LoraLinear, GradientMatchesDifferencesWithDropout) {
  ExpectGradientsMatchDifferences(
      [](const Tensors& in) {
        const Tensors y = ThreeProjections(in, kDropsAThird);
        return WeightedSum(y[0]) + WeightedSum(y[1]) + WeightedSum(y[2]);
      },
      ThreeProjectionInputs());
}

// Inputs: x, A, B, m, A', B', m' of two adapted layers around one that is not.
Tensors DoraInputs() {
  return {Random({7, 6}, 1), Random({2, 6}, 2), Random({4, 2}, 3),
          Random({4}, 4, 2), Random({3, 6}, 5), Random({5, 3}, 6),
          Random({5}, 7, 2)};
}
Tensors DoraProjections(const Tensors& in, const LoraDropout& dropout) {
  const at::Tensor w0 = Random({4, 6}, 10), w1 = Random({3, 6}, 11),
                   w2 = Random({5, 6}, 12);
  return LoraLinear(in[0],
                    {{w0, in[1], in[2], 0.7, in[3], RowSquares(w0)},
                     {w1, {}, {}},
                     {w2, in[4], in[5], 0.3, in[6], RowSquares(w2)}},
                    dropout);
}

// As PEFT composes it, by LibTorch's own backward pass.
at::Tensor PlainDora(const at::Tensor& x, const at::Tensor& d,
                     const at::Tensor& w, const Tensors& in, size_t first,
                     double scale) {
  const at::Tensor norms =
      (w + scale * in[first + 1].mm(in[first])).norm(2, {1});
  const at::Tensor gain = in[first + 2] / norms.detach();
  return x.mm(w.t()) + (gain - 1) * d.mm(w.t()) +
         gain * scale * d.mm(in[first].t()).mm(in[first + 1].t());
}

void ExpectDoraIsItsDefinition(const LoraDropout& dropout) {
  Tensors ours = DoraInputs(), theirs = DoraInputs();
  for (Tensors* in : {&ours, &theirs})
    for (at::Tensor& input : *in) input.requires_grad_();
  const Tensors y = DoraProjections(ours, dropout);
  const at::Tensor x = theirs[0],
                   d = dropout.probability > 0 ? AfterDropout(x) : x;
  const Tensors expected = {
      PlainDora(x, d, Random({4, 6}, 10), theirs, 1, 0.7),
      x.mm(Random({3, 6}, 11).t()),
      PlainDora(x, d, Random({5, 6}, 12), theirs, 4, 0.3)};
  at::Tensor our_loss = at::zeros({}, at::kDouble), their_loss = our_loss;
  for (size_t i = 0; i < y.size(); ++i) {
    EXPECT_LT(MaxDifference(y[i], expected[i]), 1e-12) << i;
    our_loss = our_loss + WeightedSum(y[i]);
    their_loss = their_loss + WeightedSum(expected[i]);
  }
  our_loss.backward();
  their_loss.backward();
  for (size_t i = 0; i < ours.size(); ++i)
    EXPECT_LT(MaxDifference(ours[i].grad(), theirs[i].grad()), 1e-12) << i;
}

TEST(LoraLinear, WithMagnitudesIsDora) { ExpectDoraIsItsDefinition({}); }
TEST(LoraLinear, WithMagnitudesAndDropoutIsDora) {
  ExpectDoraIsItsDefinition(kDropsAThird);
}

// Differences move the norms too, which the gradient of A and B leaves out; x
// and the magnitudes do not.
TEST(LoraLinear, GradientMatchesDifferencesWithDora) {
  const Tensors fixed = DoraInputs();
  for (const LoraDropout& dropout : {LoraDropout{}, kDropsAThird})
    ExpectGradientsMatchDifferences(
        [&](const Tensors& in) {
          const Tensors y = DoraProjections(
              {in[0], fixed[1], fixed[2], in[1], fixed[4], fixed[5], in[2]},
              dropout);
          return WeightedSum(y[0]) + WeightedSum(y[1]) + WeightedSum(y[2]);
        },
        {fixed[0], fixed[3], fixed[6]});
}

TEST(DoraRowNorms, AreThoseOfTheSum) {
  const at::Tensor w = Random({5, 6}, 1), a = Random({2, 6}, 2),
                   b = Random({5, 2}, 3);
  EXPECT_LT(MaxDifference(DoraRowNorms(w, RowSquares(w), a, b, 0.7),
                          (w + 0.7 * b.mm(a)).norm(2, {1})),
            1e-12);
  const at::Tensor zero = at::zeros_like(w);
  EXPECT_EQ(MaxDifference(
                DoraRowNorms(zero, RowSquares(zero), a, at::zeros_like(b), 1),
                at::full({5}, kSmallestRowNorm, at::kDouble)),
            0);
}

TEST(LoraLinear, SeesTheRoundingOfBf16WeightsAlone) {
  const at::Tensor x = Random({4, 6}, 1).to(at::kFloat);
  const at::Tensor w = Random({3, 6}, 2).to(at::kBFloat16);
  const auto run = [&](const at::Tensor& weight, const at::Tensor& input) {
    at::Tensor a = Random({2, 6}, 3).to(at::kFloat).requires_grad_();
    at::Tensor b = Random({3, 2}, 4).to(at::kFloat).requires_grad_();
    const at::Tensor leaf = input.detach().requires_grad_();
    const at::Tensor y = LoraLinear(leaf, {{weight, a, b, 2}})[0];
    WeightedSum(y).backward();
    return Tensors{y.detach(), leaf.grad(), a.grad(), b.grad()};
  };
  const Tensors ours = run(w, x), exact = run(w.to(at::kFloat), x);
  // Where the processor multiplies bf16 natively, x is rounded too.
  const double tolerance = MultipliesBfloat16() ? 0.05 : 1e-5;
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_EQ(ours[i].scalar_type(), at::kFloat);
    EXPECT_LT(MaxDifference(ours[i], exact[i]), tolerance) << i;
  }
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
  const at::Tensor q = Random({9, 16}, 1), k = Random({9, 8}, 2),
                   v = Random({9, 8}, 3);
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
      {Random({5, 8}, 1), Random({5, 4}, 2), Random({5, 4}, 3)});
}

// Windows that bite in some documents and not in others, and that need several
// blocks of queries (64 at least).
TEST(CausalAttention, SeesNoFurtherThanItsWindow) {
  const at::Tensor q = Random({181, 12}, 1), k = Random({181, 4}, 2),
                   v = Random({181, 4}, 3);
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
      Tensors in = {Random({155, 12}, 1), Random({155, 4}, 2),
                    Random({155, 4}, 3)};
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
  const at::Tensor q = Random({19, 16}, 1).to(at::kFloat),
                   k = Random({19, 8}, 2).to(at::kFloat),
                   v = Random({19, 8}, 3).to(at::kFloat);
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
  const at::Tensor q = Random({9, 16}, 1).to(at::kFloat),
                   k = Random({9, 8}, 2).to(at::kFloat),
                   v = Random({9, 8}, 3).to(at::kFloat);
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
