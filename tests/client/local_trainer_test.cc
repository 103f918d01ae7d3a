#include "client/local_trainer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/update_transform.h"
#include "model/aten.h"
#include "tests/client/tiny_client.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TinyModel;

class LocalTrainerTest : public ::testing::Test {
 protected:
  LocalTrainerTest() {
    task_.model = &TinyModel().decoder;
    task_.global = &global_;
    task_.examples = &examples_;
    task_.training.set_steps(10);
    task_.training.set_batch_size(2);
    task_.training.mutable_optimizer()->set_learning_rate(0.02);
  }
  Adapter Trained(const LocalUpdate& update) const {
    Adapter trained = global_;
    for (auto& [name, tensor] : trained.tensors) {
      tensor = tensor + update.delta.at(name);
    }
    return trained;
  }
  double LossOf(const Adapter& adapter) const {
    return Evaluate(TinyModel().decoder, &adapter, examples_).loss_nats;
  }
  const Adapter global_ = testing::TinyAdapter();
  const std::vector<TokenizedExample> examples_ = testing::TinyExamples();
  LocalTask task_;
};

TEST_F(LocalTrainerTest, LowersTheLossAndCountsItsWork) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate update, TrainLocally(task_));
  EXPECT_LT(LossOf(Trained(update)), 0.8 * LossOf(global_));
  EXPECT_GT(update.mean_loss, 0);
  EXPECT_EQ(update.examples, 4);  // all there are, though 20 were drawn
  // Ten batches of two of the four examples: five epochs.
  int64_t tokens = 0;
  for (const auto& example : examples_) {
    tokens += static_cast<int64_t>(example.tokens.size());
  }
  EXPECT_EQ(update.trained_tokens, 5 * tokens);
}

TEST_F(LocalTrainerTest, DeltaHasTheAdaptersNamesShapesAndType) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate update, TrainLocally(task_));
  EXPECT_THAT(CheckAdapterTensors(TinyModel().decoder.config(), global_.options,
                                  update.delta),
              IsOk());
}

TEST_F(LocalTrainerTest, LeavesTheGlobalAdapterAlone) {
  const Adapter before = testing::TinyAdapter();
  ASSERT_THAT(TrainLocally(task_), IsOk());
  for (const auto& [name, tensor] : before.tensors) {
    EXPECT_TRUE(tensor.equal(global_.tensors.at(name))) << name;
    EXPECT_FALSE(global_.tensors.at(name).requires_grad()) << name;
  }
}

TEST_F(LocalTrainerTest, IsDeterministicInItsSeed) {
  task_.training.set_steps(3);
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate a, TrainLocally(task_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate b, TrainLocally(task_));
  task_.seed = 2;
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate c, TrainLocally(task_));
  bool any_differs = false;
  for (const auto& [name, delta] : a.delta) {
    EXPECT_TRUE(delta.equal(b.delta.at(name))) << name;
    any_differs = any_differs || !delta.equal(c.delta.at(name));
  }
  EXPECT_TRUE(any_differs);
  EXPECT_EQ(a.mean_loss, b.mean_loss);
}

TEST_F(LocalTrainerTest, FfaMovesBAlone) {
  task_.freeze_lora_a = true;
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate update, TrainLocally(task_));
  double moved_b = 0;
  for (const auto& [name, delta] : update.delta) {
    if (name.ends_with(".lora_A.weight")) {
      EXPECT_EQ(delta.count_nonzero().item<int64_t>(), 0) << name;
    } else {
      moved_b += delta.abs().sum().item<double>();
    }
  }
  EXPECT_GT(moved_b, 0);
}

TEST_F(LocalTrainerTest, TeacherTargetsPullTheStudent) {
  // A teacher that says 'z' everywhere, trained towards alone, makes the
  // student's private loss worse and its distance to the teacher smaller.
  constexpr int32_t kZ = 3 + 'z';
  const TeacherTargets targets = testing::OneSidedTargets(kZ);
  task_.targets = &targets;
  task_.training.set_distillation_weight(1);
  std::vector<double> losses;
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate update,
                              TrainLocally(task_, [&](const Progress& p) {
                                losses.push_back(p.loss);
                                return OkStatus();
                              }));
  EXPECT_LT(losses.back(), 0.7 * losses.front());
  EXPECT_GT(LossOf(Trained(update)), LossOf(global_));
  EXPECT_EQ(update.examples, 4);
}

TEST_F(LocalTrainerTest, TheWeightMixesBothLosses) {
  // At the first step nothing has been trained: the mixed loss is the weighted
  // mean of the pure ones.
  const TeacherTargets targets = testing::OneSidedTargets(5);
  task_.targets = &targets;
  task_.training.set_steps(1);
  task_.training.set_batch_size(4);
  const auto first_loss = [&](double weight) {
    task_.training.set_distillation_weight(weight);
    const auto update = TrainLocally(task_);
    EXPECT_THAT(update, IsOk());
    return update->mean_loss;
  };
  EXPECT_NEAR(first_loss(0.25), 0.75 * first_loss(0) + 0.25 * first_loss(1),
              1e-5);
}

TEST_F(LocalTrainerTest, StopsBetweenSteps) {
  std::vector<int64_t> done;
  const auto result = TrainLocally(task_, [&](const Progress& progress) {
    EXPECT_EQ(progress.total, 10);
    done.push_back(progress.done);
    return progress.done == 3 ? Cancelled("enough") : OkStatus();
  });
  EXPECT_THAT(result, StatusIs(StatusCode::kCancelled, HasSubstr("enough")));
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
}

TEST_F(LocalTrainerTest, NoStepsAreNoUpdate) {
  task_.training.set_steps(0);
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalUpdate update, TrainLocally(task_));
  EXPECT_EQ(NormL2(update.delta), 0);
  EXPECT_EQ(update.mean_loss, 0);
}

TEST_F(LocalTrainerTest, RefusesWhatAPeerMustNotAsk) {
  task_.training.set_steps(-1);
  EXPECT_THAT(TrainLocally(task_), StatusIs(StatusCode::kInvalidArgument,
                                            HasSubstr("training.steps is -1")));
  task_.training.set_steps(1);
  task_.training.set_max_sequence_tokens(513);
  EXPECT_THAT(TrainLocally(task_),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("training.max_sequence_tokens is 513, the "
                                 "model's context length is 512")));
  task_.training.set_max_sequence_tokens(512);
  task_.training.set_distillation_weight(0.5);
  EXPECT_THAT(TrainLocally(task_), StatusIs(StatusCode::kInvalidArgument,
                                            HasSubstr("no teacher targets")));
  task_.training.clear_distillation_weight();
  const std::vector<TokenizedExample> none;
  task_.examples = &none;
  EXPECT_THAT(TrainLocally(task_), StatusIs(StatusCode::kInvalidArgument,
                                            HasSubstr("no private examples")));
}

TEST_F(LocalTrainerTest, AnExceptionBecomesAStatus) {
  // A token that the embedding does not have: LibTorch or the decoder throws.
  std::vector<TokenizedExample> broken = examples_;
  for (auto& example : broken) example.tokens[0] = 1 << 20;
  task_.examples = &broken;
  EXPECT_THAT(TrainLocally(task_),
              StatusIs(StatusCode::kInternal, HasSubstr("local training")));
}

TEST_F(LocalTrainerTest, EvaluationIsThatOfTheModel) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const EvaluationResult result,
      EvaluateLocally(TinyModel().decoder, global_, examples_));
  EXPECT_EQ(result.loss_nats, LossOf(global_));
  EXPECT_EQ(result.examples, 4);
  EXPECT_THAT(
      EvaluateLocally(TinyModel().decoder, global_, examples_,
                      [](const Progress&) { return Cancelled("no more"); }),
      StatusIs(StatusCode::kCancelled, "no more"));
}

}  // namespace
}  // namespace tandem
