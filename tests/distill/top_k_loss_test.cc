#include "distill/top_k_loss.h"

#include <gmock/gmock.h>

#include "model/aten.h"
#include "tests/distill/loss_oracles.h"
#include "tests/testing/gradient_check.h"

namespace tandem {
namespace {

using testing::ExpectGradientsMatchDifferences;
using testing::Gradient;
using testing::Jsd;
using testing::Kl;
using testing::kTemperatures;
using testing::MaxDifference;
using testing::RandomLogits;
using testing::Row;
using testing::Softmax;
using testing::Value;

constexpr DistillationLoss kForward = DistillationLoss::kForwardKl;
constexpr DistillationLoss kReverse = DistillationLoss::kReverseKl;
constexpr DistillationLoss kJsd = DistillationLoss::kGeneralizedJsd;

struct Case {
  DistillationLoss loss;
  double beta;
};
constexpr Case kCases[] = {{kForward, 0.5}, {kReverse, 0.5}, {kJsd, 0},
                           {kJsd, 0.3},     {kJsd, 0.5},     {kJsd, 1}};

double LossOfRows(const Case& c, const Row& p, const Row& q) {
  if (c.loss == kForward || (c.loss == kJsd && c.beta == 0)) return Kl(p, q);
  if (c.loss == kReverse || (c.loss == kJsd && c.beta == 1)) return Kl(q, p);
  return Jsd(p, q, c.beta);
}

at::Tensor FullLoss(const Case& c, const at::Tensor& q, const at::Tensor& p,
                    double t) {
  if (c.loss == kForward) return ForwardKl(q, p, t);
  if (c.loss == kReverse) return ReverseKl(q, p, t);
  return GeneralizedJsd(q, p, c.beta, t);
}

// The chosen probabilities and, last, the sum of all others.
Row Bucketed(const Row& p, const at::Tensor& indices) {
  std::vector<bool> chosen(p.size());
  Row out;
  for (int64_t i = 0; i < indices.numel(); ++i) {
    const auto token = indices[i].item<int64_t>();
    chosen[token] = true;
    out.push_back(p[token]);
  }
  double rest = 0;
  for (size_t v = 0; v < p.size(); ++v) rest += chosen[v] ? 0 : p[v];
  out.push_back(rest);
  return out;
}

TEST(TopKOf, IsTheLargestProbabilitiesAndTheRest) {
  const at::Tensor logits = RandomLogits(3, 40, 1);
  for (double t : kTemperatures) {
    const TopKTargets targets = TopKOf(logits, 6, t);
    for (int64_t row = 0; row < 3; ++row) {
      const Row p = Softmax(logits[row], t);
      Row sorted = p;
      std::sort(sorted.rbegin(), sorted.rend());
      double rest = 0;
      for (size_t i = 6; i < sorted.size(); ++i) rest += sorted[i];
      EXPECT_NEAR(targets.left_over[row].item<double>(), rest, 1e-14);
      for (int64_t i = 0; i < 6; ++i) {
        const auto token = targets.indices[row][i].item<int64_t>();
        EXPECT_EQ(p[token], sorted[i]);
        EXPECT_NEAR(targets.log_probabilities[row][i].item<double>(),
                    std::log(sorted[i]), 1e-13);
      }
    }
  }
}

TEST(TopKOf, LeftOverIsExactWhereTheTeacherIsSure) {
  at::Tensor logits = at::zeros({1, 100}, at::kFloat);
  logits[0][17] = 40.f;
  const TopKTargets targets = TopKOf(logits, 1);
  EXPECT_EQ(targets.indices[0][0].item<int64_t>(), 17);
  EXPECT_EQ(targets.log_probabilities[0][0].item<float>(), 0);
  // 1 - p would round to zero.
  EXPECT_NEAR(targets.left_over[0].item<double>() / (99 * std::exp(-40)), 1,
              1e-5);
}

TEST(TopKOf, TakesNoMoreThanTheVocabulary) {
  const TopKTargets targets = TopKOf(RandomLogits(2, 5, 2), 64);
  EXPECT_EQ(targets.indices.sizes(), at::IntArrayRef({2, 5}));
  EXPECT_EQ(targets.left_over.abs().max().item<double>(), 0);
}

TEST(TopKLoss, IsTheLossOverBuckets) {
  const at::Tensor q = RandomLogits(4, 23, 3), p = RandomLogits(4, 23, 4);
  for (double t : kTemperatures) {
    const TopKTargets targets = TopKOf(p, 5, t);
    for (const Case& c : kCases) {
      double expected = 0;
      for (int64_t row = 0; row < 4; ++row) {
        expected +=
            LossOfRows(c, Bucketed(Softmax(p[row], t), targets.indices[row]),
                       Bucketed(Softmax(q[row], t), targets.indices[row]));
      }
      EXPECT_NEAR(Value(TopKLoss(c.loss, q, targets, t, c.beta)), expected,
                  1e-12);
    }
  }
}

TEST(TopKLoss, GradientsAreFiniteDifferences) {
  const at::Tensor q = RandomLogits(2, 9, 5), p = RandomLogits(2, 9, 6);
  for (double t : kTemperatures) {
    for (int64_t k : {1, 4, 8, 9}) {
      const TopKTargets targets = TopKOf(p, k, t);
      for (const Case& c : kCases) {
        auto loss = [&](const at::Tensor& s) {
          return TopKLoss(c.loss, s, targets, t, c.beta);
        };
        SCOPED_TRACE(::testing::Message()
                     << "temperature " << t << ", k " << k);
        ExpectGradientsMatchDifferences(
            [&](const auto& inputs) { return loss(inputs[0]); }, {q}, 5e-9);
      }
    }
  }
}

TEST(TopKLoss, GradientIsScaledByWhatComesAfter) {
  const at::Tensor q = RandomLogits(2, 9, 7);
  const TopKTargets targets = TopKOf(RandomLogits(2, 9, 8), 3);
  auto loss = [&](const at::Tensor& s) {
    return TopKLoss(kForward, s, targets);
  };
  auto scaled = [&](const at::Tensor& s) { return -2.5 * loss(s) + 1; };
  EXPECT_LT(MaxDifference(Gradient(scaled, q), -2.5 * Gradient(loss, q)),
            1e-15);
}

TEST(TopKLoss, IsTheFullLossWhereKIsTheVocabulary) {
  const at::Tensor q = RandomLogits(3, 17, 9), p = RandomLogits(3, 17, 10);
  for (double t : kTemperatures) {
    for (const Case& c : kCases) {
      const TopKTargets targets = TopKOf(p, 17, t);
      auto top = [&](const at::Tensor& s) {
        return TopKLoss(c.loss, s, targets, t, c.beta);
      };
      auto full = [&](const at::Tensor& s) { return FullLoss(c, s, p, t); };
      EXPECT_NEAR(Value(top(q)), Value(full(q)), 1e-12);
      EXPECT_LT(MaxDifference(Gradient(top, q), Gradient(full, q)), 1e-12);
    }
  }
}

TEST(TopKLoss, GrowsWithKUpToTheFullLoss) {
  const at::Tensor q = RandomLogits(3, 17, 11), p = RandomLogits(3, 17, 12);
  for (const Case& c : kCases) {
    double before = 0;
    for (int64_t k = 1; k <= 17; ++k) {
      const double loss = Value(TopKLoss(c.loss, q, TopKOf(p, k), 1, c.beta));
      EXPECT_GE(loss, before - 1e-13) << "merging outcomes cannot add";
      before = loss;
    }
    EXPECT_LE(before, Value(FullLoss(c, q, p, 1)) + 1e-12);
  }
}

TEST(TopKLoss, IsZeroWhereStudentIsTeacher) {
  const at::Tensor p = RandomLogits(4, 13, 13, 4);
  for (double t : kTemperatures) {
    for (const Case& c : kCases) {
      const TopKTargets targets = TopKOf(p, 3, t);
      auto loss = [&](const at::Tensor& s) {
        return TopKLoss(c.loss, s, targets, t, c.beta);
      };
      EXPECT_NEAR(Value(loss(p + 3)), 0, 1e-13);
      EXPECT_LT(Gradient(loss, p).abs().max().item<double>(), 1e-13);
    }
  }
}

TEST(TopKLoss, JsdIsSymmetricInTheMiddle) {
  const at::Tensor q = RandomLogits(1, 12, 14), p = RandomLogits(1, 12, 15);
  TopKTargets of_p = TopKOf(p, 12), of_q = TopKOf(q, 12);
  EXPECT_NEAR(Value(TopKLoss(kJsd, q, of_p, 1, 0.5)),
              Value(TopKLoss(kJsd, p, of_q, 1, 0.5)), 1e-13);
}

TEST(TopKLoss, FloatsAreDoublesRounded) {
  const at::Tensor q = RandomLogits(8, 5000, 16, 3);
  const at::Tensor p = RandomLogits(8, 5000, 17, 3);
  for (const Case& c : kCases) {
    const TopKTargets exact = TopKOf(p, 64),
                      rounded = TopKOf(p.to(at::kFloat), 64);
    auto loss = [&](const at::Tensor& s) {
      return TopKLoss(c.loss, s, s.dtype() == at::kFloat ? rounded : exact, 1,
                      c.beta);
    };
    const at::Tensor small = q.to(at::kFloat);
    EXPECT_NEAR(Value(loss(small)) / Value(loss(q)), 1, 1e-5);
    EXPECT_LT(MaxDifference(Gradient(loss, small), Gradient(loss, q)), 1e-5);
  }
}

// Logits so far apart that most exponentials are zero in fp32, on either side.
TEST(TopKLoss, StaysFiniteForHugeLogits) {
  const at::Tensor q = RandomLogits(4, 50, 18, 1e4).to(at::kFloat);
  const at::Tensor p = RandomLogits(4, 50, 19, 1e4).to(at::kFloat);
  for (const Case& c : kCases) {
    auto loss = [&](const at::Tensor& s) {
      return TopKLoss(c.loss, s, TopKOf(p, 3), 1, c.beta);
    };
    EXPECT_TRUE(std::isfinite(Value(loss(q))));
    EXPECT_TRUE(Gradient(loss, q).isfinite().all().item<bool>());
  }
}

TEST(TopKLoss, ASureTeacherAndStudentGiveNoNan) {
  at::Tensor p = at::zeros({1, 50}, at::kFloat);
  p[0][3] = 1000.f;
  const TopKTargets targets = TopKOf(p, 2);
  EXPECT_EQ(targets.left_over[0].item<float>(), 0);
  for (const Case& c : kCases) {
    auto loss = [&](const at::Tensor& s) {
      return TopKLoss(c.loss, s, targets, 1, c.beta);
    };
    EXPECT_NEAR(Value(loss(p)), 0, 1e-6);
    EXPECT_LT(Gradient(loss, p).abs().max().item<double>(), 1e-6);
  }
}

TEST(TopKLoss, RefusesTemperatureAndBetaOutOfRange) {
  const at::Tensor q = RandomLogits(1, 5, 20);
  const TopKTargets targets = TopKOf(q, 2);
  EXPECT_THROW(TopKLoss(kForward, q, targets, 0), std::invalid_argument);
  EXPECT_THROW(TopKLoss(kJsd, q, targets, 1, 1.5), std::invalid_argument);
  EXPECT_THROW(TopKOf(q, 2, -1), std::invalid_argument);
}

}  // namespace
}  // namespace tandem
