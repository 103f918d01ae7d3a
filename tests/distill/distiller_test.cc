#include "distill/distiller.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include "distill/teacher.h"
#include "model/aten.h"
#include "tests/distill/loss_oracles.h"
#include "tests/distill/random_targets.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using testing::Gradient;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kTinyVocabulary;
using testing::MaxDifference;
using testing::RandomExamples;
using testing::RandomLogits;
using testing::RandomTargets;
using testing::StatusIs;
using testing::TinyCheckpoint;

TEST(DistillationRows, WeighsTeacherAndText) {
  const TeacherTargets all = RandomTargets(4, 40, 6, 1);
  const DistillationBatch batch = PackTargets(all, {0, 1, 2, 3});
  const int64_t rows = batch.batch.targets.size(0);
  const at::Tensor logits = RandomLogits(rows, 40, 2);
  for (auto loss : {DistillationLoss::kForwardKl, DistillationLoss::kReverseKl,
                    DistillationLoss::kGeneralizedJsd}) {
    for (double weight : {0., 0.3, 1.}) {
      auto reference = [&](const at::Tensor& s) {
        const at::Tensor text =
            -at::log_softmax(s, 1)
                 .gather(1, batch.batch.targets.unsqueeze(1))
                 .sum();
        return weight * TopKLoss(loss, s, batch.targets, all.temperature, 0.4) +
               (1 - weight) * text;
      };
      const RowsLoss rows_loss =
          DistillationRows(batch, loss, weight, all.temperature, 0.4);
      // In chunks, as ChunkedHeadLoss calls it.
      auto chunked = [&](const at::Tensor& s) {
        return rows_loss(s.narrow(0, 0, 5), 0) +
               rows_loss(s.narrow(0, 5, rows - 5), 5);
      };
      EXPECT_NEAR(chunked(logits).item<double>(),
                  reference(logits).item<double>(), 1e-6);
      EXPECT_LT(
          MaxDifference(Gradient(chunked, logits), Gradient(reference, logits)),
          1e-6);
    }
  }
}

TEST(DistillationRows, OutlivesItsBatch) {
  RowsLoss loss;
  {
    const DistillationBatch batch =
        PackTargets(RandomTargets(2, 40, 6, 3), {0, 1});
    loss = DistillationRows(batch, DistillationLoss::kForwardKl, 0.5, 1, 0.5);
  }
  EXPECT_TRUE(std::isfinite(loss(RandomLogits(2, 40, 4), 0).item<double>()));
}

class DistillTest : public ::testing::Test {
 protected:
  // A teacher and a student of other random weights.
  DistillTest() {
    const LocalTeacher teacher =
        *LocalTeacher::Create(TinyCheckpoint(1), "fp32");
    targets_ = *teacher.Targets(RandomExamples(12, kTinyVocabulary, 1),
                                {.top_k = 32}, folder_.path());
    options_.steps = 30;
    options_.trainer.optimizer.learning_rate = 2e-2;
    options_.trainer.schedule = {.total_steps = 30};
    options_.teacher_weight = 1;
  }

  // Mean loss of the whole set under an adapter.
  double MeanLoss(const Adapter& adapter, DistillationLoss loss) {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> every(targets_.examples.size());
    for (size_t i = 0; i < every.size(); ++i) every[i] = i;
    const DistillationBatch batch = PackTargets(targets_, every);
    const at::Tensor hidden =
        student_
            .Forward(batch.batch.tokens, batch.batch.document_offsets, &adapter)
            .index_select(0, batch.batch.target_rows);
    const at::Tensor sum =
        TopKLoss(loss, student_.Logits(hidden), batch.targets);
    return sum.item<double>() / static_cast<double>(hidden.size(0));
  }

  testing::TempFolder folder_;
  Decoder student_ = *Decoder::Create(TinyCheckpoint(2), at::kFloat);
  Adapter initial_ = *CreateAdapter(student_.config(), {.rank = 8}, 1);
  TeacherTargets targets_;
  DistillerOptions options_;
};

TEST_F(DistillTest, LowersEveryLoss) {
  for (auto loss : {DistillationLoss::kForwardKl, DistillationLoss::kReverseKl,
                    DistillationLoss::kGeneralizedJsd}) {
    options_.loss = loss;
    TANDEM_ASSERT_OK_AND_ASSIGN(
        const DistillationResult result,
        Distill(student_, initial_, targets_, options_));
    const double before = MeanLoss(initial_, loss);
    EXPECT_LT(MeanLoss(result.adapter, loss), 0.8 * before);
    EXPECT_LT(result.mean_loss, before);
    EXPECT_GT(result.mean_loss, 0);
  }
}

TEST_F(DistillTest, IsDeterministic) {
  options_.steps = 5;
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto a,
                              Distill(student_, initial_, targets_, options_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto b,
                              Distill(student_, initial_, targets_, options_));
  options_.seed = 2;
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto c,
                              Distill(student_, initial_, targets_, options_));
  EXPECT_EQ(a.mean_loss, b.mean_loss);
  EXPECT_NE(a.mean_loss, c.mean_loss) << "another seed draws other batches";
  for (const auto& [name, tensor] : a.adapter.tensors) {
    EXPECT_TRUE(at::equal(tensor, b.adapter.tensors.at(name))) << name;
  }
}

TEST_F(DistillTest, CountsAndReportsSteps) {
  options_.steps = 3;
  options_.batch_size = 12;  // an epoch each
  int64_t tokens = 0, target_tokens = 0;
  for (const auto& example : targets_.examples) {
    tokens += static_cast<int64_t>(example.tokens.size());
    target_tokens += testing::TargetCount(example);
  }
  std::vector<int64_t> seen;
  double loss = 0;
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const DistillationResult result,
      Distill(student_, initial_, targets_, options_,
              [&](int64_t done, const StepResult& step) {
                seen.push_back(done);
                loss += step.loss / 3;
                EXPECT_EQ(step.target_tokens, target_tokens);
                return true;
              }));
  EXPECT_THAT(seen, ::testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(result.steps, 3);
  EXPECT_EQ(result.tokens, 3 * tokens);
  EXPECT_NEAR(result.mean_loss, loss, 1e-9);
}

TEST_F(DistillTest, NoStepsLeaveTheAdapterAlone) {
  options_.steps = 0;
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto result,
                              Distill(student_, initial_, targets_, options_));
  EXPECT_EQ(result.steps, 0);
  for (const auto& [name, tensor] : result.adapter.tensors) {
    EXPECT_TRUE(at::equal(tensor, initial_.tensors.at(name))) << name;
  }
}

TEST_F(DistillTest, StopsWhereAsked) {
  int64_t steps = 0;
  EXPECT_THAT(Distill(student_, initial_, targets_, options_,
                      [&](int64_t done, const StepResult&) {
                        steps = done;
                        return done < 2;
                      }),
              StatusIs(StatusCode::kCancelled, HasSubstr("step 2 of 30")));
  EXPECT_EQ(steps, 2);
}

TEST_F(DistillTest, RefusesBadInputAndCatchesExceptions) {
  EXPECT_THAT(Distill(student_, initial_, {}, options_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no examples")));
  DistillerOptions bad = options_;
  bad.batch_size = 0;
  EXPECT_THAT(Distill(student_, initial_, targets_, bad),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("batch size")));
  bad = options_;
  bad.teacher_weight = 1.5;
  EXPECT_THAT(
      Distill(student_, initial_, targets_, bad),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("teacher weight")));
  bad = options_;
  bad.loss = DistillationLoss::kGeneralizedJsd;
  bad.jsd_beta = 2;
  EXPECT_THAT(Distill(student_, initial_, targets_, bad),
              StatusIs(StatusCode::kInternal, HasSubstr("beta is 2")));
}

}  // namespace
}  // namespace tandem
