// Adapted linear layers beside their definitions: LoRA, dropout and DoRA.
#include "model/lora_linear.h"

#include <gmock/gmock.h>

#include "model/aten.h"
#include "model/dora.h"
#include "model/frozen_product.h"
#include "model/lora_dropout.h"
#include "tests/testing/fp32_check.h"
#include "tests/testing/gradient_check.h"

namespace tandem {
namespace {

using testing::ExpectGradientsMatchDifferences;
using testing::MaxDifference;
using testing::RandomDoubles;
using testing::WeightedSum;
using Tensors = std::vector<at::Tensor>;

// Two adapted layers around one that is not, of unequal ranks.
Tensors ThreeProjections(const Tensors& in, const LoraDropout& dropout = {}) {
  const at::Tensor w0 = RandomDoubles({4, 6}, 10),
                   w1 = RandomDoubles({3, 6}, 11),
                   w2 = RandomDoubles({5, 6}, 12);
  return LoraLinear(
      in[0], {{w0, in[1], in[2], 0.7}, {w1, {}, {}}, {w2, in[3], in[4], 0.3}},
      dropout);
}
Tensors ThreeProjectionInputs() {
  return {RandomDoubles({7, 6}, 1), RandomDoubles({2, 6}, 2),
          RandomDoubles({4, 2}, 3), RandomDoubles({3, 6}, 4),
          RandomDoubles({5, 3}, 5)};
}

TEST(LoraLinear, IsItsDefinition) {
  const Tensors in = ThreeProjectionInputs(), y = ThreeProjections(in);
  const at::Tensor x = in[0];
  const at::Tensor full = RandomDoubles({4, 6}, 10) + 0.7 * in[2].mm(in[1]);
  EXPECT_LT(MaxDifference(y[0], x.mm(full.t())), 1e-12);
  EXPECT_LT(MaxDifference(y[1], x.mm(RandomDoubles({3, 6}, 11).t())), 1e-12);
  const at::Tensor full2 = RandomDoubles({5, 6}, 12) + 0.3 * in[4].mm(in[3]);
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
      x.mm(RandomDoubles({4, 6}, 10).t()) + 0.7 * d.mm(in[1].t()).mm(in[2].t());
  EXPECT_LT(MaxDifference(y[0], expected), 1e-12);
  EXPECT_LT(MaxDifference(y[1], x.mm(RandomDoubles({3, 6}, 11).t())), 1e-12);
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
    const at::Tensor y = LoraLinear(
        input, {{RandomDoubles({4, 6}, 10), a, b, 0.7}}, kDropsAThird)[0];
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
  return {RandomDoubles({7, 6}, 1), RandomDoubles({2, 6}, 2),
          RandomDoubles({4, 2}, 3), RandomDoubles({4}, 4, 2),
          RandomDoubles({3, 6}, 5), RandomDoubles({5, 3}, 6),
          RandomDoubles({5}, 7, 2)};
}
Tensors DoraProjections(const Tensors& in, const LoraDropout& dropout) {
  const at::Tensor w0 = RandomDoubles({4, 6}, 10),
                   w1 = RandomDoubles({3, 6}, 11),
                   w2 = RandomDoubles({5, 6}, 12);
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
      PlainDora(x, d, RandomDoubles({4, 6}, 10), theirs, 1, 0.7),
      x.mm(RandomDoubles({3, 6}, 11).t()),
      PlainDora(x, d, RandomDoubles({5, 6}, 12), theirs, 4, 0.3)};
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
  const at::Tensor w = RandomDoubles({5, 6}, 1), a = RandomDoubles({2, 6}, 2),
                   b = RandomDoubles({5, 2}, 3);
  EXPECT_LT(MaxDifference(DoraRowNorms(w, RowSquares(w), a, b, 0.7),
                          (w + 0.7 * b.mm(a)).norm(2, {1})),
            1e-12);
  const at::Tensor zero = at::zeros_like(w);
  EXPECT_EQ(MaxDifference(
                DoraRowNorms(zero, RowSquares(zero), a, at::zeros_like(b), 1),
                at::full({5}, kSmallestRowNorm, at::kDouble)),
            0);
}

// In the type in which adapters train, by the products that are chosen there;
// sizes are odd, and large enough for every one of them.
constexpr int64_t kTokens = 45, kIn = 131, kOut = 77;

Tensors OddInputs() {
  return {RandomDoubles({kTokens, kIn}, 1), RandomDoubles({5, kIn}, 2),
          RandomDoubles({kOut, 5}, 3), RandomDoubles({kOut}, 4, 12)};
}
at::Tensor OddWeight() { return RandomDoubles({kOut, kIn}, 10); }

TEST(LoraLinear, IsItsDefinitionInFp32) {
  const at::Tensor w = OddWeight();
  testing::ExpectSameInFp32(
      [&](const Tensors& in) {
        const at::Tensor weight = w.to(in[0].scalar_type());
        return LoraLinear(in[0], {{weight, in[1], in[2], 0.7}})[0];
      },
      [&](const Tensors& in) {
        return in[0].mm((w + 0.7 * in[2].mm(in[1])).t());
      },
      {OddInputs()[0], OddInputs()[1], OddInputs()[2]});
}

TEST(LoraLinear, WithMagnitudesAndDropoutIsDoraInFp32) {
  const at::Tensor w = OddWeight();
  testing::ExpectSameInFp32(
      [&](const Tensors& in) {
        const at::Tensor weight = w.to(in[0].scalar_type());
        return LoraLinear(
            in[0], {{weight, in[1], in[2], 0.7, in[3], RowSquares(weight)}},
            kDropsAThird)[0];
      },
      [&](const Tensors& in) {
        return PlainDora(in[0], AfterDropout(in[0]), w, in, 1, 0.7);
      },
      OddInputs());
}

TEST(LoraLinear, SeesTheRoundingOfBf16WeightsAlone) {
  const at::Tensor x = RandomDoubles({4, 6}, 1).to(at::kFloat);
  const at::Tensor w = RandomDoubles({3, 6}, 2).to(at::kBFloat16);
  const auto run = [&](const at::Tensor& weight, const at::Tensor& input) {
    at::Tensor a = RandomDoubles({2, 6}, 3).to(at::kFloat).requires_grad_();
    at::Tensor b = RandomDoubles({3, 2}, 4).to(at::kFloat).requires_grad_();
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

}  // namespace
}  // namespace tandem
