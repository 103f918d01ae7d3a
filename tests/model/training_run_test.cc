#include "model/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/files.h"
#include "model/aten.h"
#include "model/safetensors.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

class TrainingRunTest : public ::testing::Test {
 protected:
  TrainingRunTest() {
    std::ofstream out(data_);
    for (int i = 0; i < 20; ++i) {
      out << R"({"text": "the )" << std::string(1 + i % 9, 'a' + i) << "\"}\n";
    }
    options_.steps = 12;
    options_.accumulation_steps = 2;
    options_.trainer.optimizer.learning_rate = 1e-2;
    options_.trainer.schedule.total_steps = 12;
    options_.fingerprint = {{"--seed", "1"}, {"--steps", "12"}};
  }

  StatusOr<TrainingResult> Train(const TrainingObserver& observer = {}) {
    BatchStream batches(ExampleStream::Open(data_, tokenizer_, {}).value(),
                        {.examples = 3});
    return RunTraining(model_, adapter_, batches, validation_, options_,
                       SystemClock(), observer);
  }
  // Ends after `step` as SIGINT would end it.
  StatusOr<TrainingResult> TrainUntil(int64_t step) {
    return Train({.on_step = [step](const StepMetrics& metrics) {
      return metrics.step < step;
    }});
  }
  void UseValidation(int64_t every, int64_t patience) {
    validation_ = *LoadTokenizedExamples(tokenizer_, data_, 4, 64);
    options_.evaluate_every = every;
    options_.patience = patience;
  }
  void ExpectSameBytes(const Adapter& a, const Adapter& b) {
    EXPECT_EQ(*SerializeSafetensors(a.tensors),
              *SerializeSafetensors(b.tensors));
  }
  std::filesystem::path checkpoint_file() const {
    return folder_ / "checkpoint" / "training.safetensors";
  }

  const TempFolder folder_;
  const std::filesystem::path data_ = folder_ / "data.jsonl";
  const Checkpoint checkpoint_ = testing::TinyCheckpoint();
  const Tokenizer tokenizer_ = *Tokenizer::Create(checkpoint_.tokenizer);
  const Decoder model_ = Decoder::Create(checkpoint_, at::kFloat).value();
  const Adapter adapter_ =
      CreateAdapter(checkpoint_.config, {.rank = 4, .alpha = 8}, 1).value();
  std::vector<TokenizedExample> validation_;
  TrainingRunOptions options_;
};

TEST_F(TrainingRunTest, AStoppedRunGoesOnToTheSameBytes) {
  UseValidation(/*every=*/5, /*patience=*/0);
  const auto whole = Train();
  ASSERT_THAT(whole, IsOk());
  options_.checkpoint_folder = folder_ / "checkpoint";
  EXPECT_THAT(TrainUntil(5), StatusIs(StatusCode::kCancelled,
                                      HasSubstr("after step 5 of 12")));
  EXPECT_THAT(TrainUntil(7), StatusIs(StatusCode::kCancelled));
  int64_t started_at = -1;
  const auto resumed =
      Train({.on_start = [&](int64_t step) { started_at = step; }});
  ASSERT_THAT(resumed, IsOk());
  EXPECT_EQ(started_at, 7);
  ExpectSameBytes(resumed->adapter, whole->adapter);
  EXPECT_EQ(resumed->progress.loss_sum, whole->progress.loss_sum);
  EXPECT_EQ(resumed->progress.tokens, whole->progress.tokens);
  EXPECT_EQ(resumed->progress.best_loss, whole->progress.best_loss);
  // Once more: nothing is left to do.
  ExpectSameBytes(Train()->adapter, whole->adapter);
}

TEST_F(TrainingRunTest, OtherOptionsAreRefused) {
  options_.checkpoint_folder = folder_ / "checkpoint";
  TrainUntil(2).IgnoreError();
  options_.fingerprint["--seed"] = "2";
  EXPECT_THAT(Train(),
              StatusIs(StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(options_.checkpoint_folder.string()),
                             HasSubstr("--seed = 1, now it is 2"))));
  options_.fingerprint.erase("--seed");
  EXPECT_THAT(Train(), StatusIs(StatusCode::kFailedPrecondition,
                                HasSubstr("--seed = 1, now it is not set")));
}

TEST_F(TrainingRunTest, ACheckpointOfAnotherAdapterIsRefused) {
  options_.checkpoint_folder = folder_ / "checkpoint";
  TrainUntil(2).IgnoreError();
  const Adapter other =
      CreateAdapter(checkpoint_.config, {.rank = 2, .alpha = 8}, 1).value();
  BatchStream batches(ExampleStream::Open(data_, tokenizer_, {}).value(), {});
  EXPECT_THAT(
      RunTraining(model_, other, batches, {}, options_, SystemClock()),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("has another shape")));
}

TEST_F(TrainingRunTest, DamagedCheckpointsAreNamed) {
  options_.checkpoint_folder = folder_ / "checkpoint";
  TrainUntil(2).IgnoreError();
  const std::string whole = *ReadFile(checkpoint_file());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = whole;
    changed.replace(changed.find(from), from.size(), to);
    EXPECT_THAT(WriteFileAtomically(checkpoint_file(), changed), IsOk());
    return Train().status();
  };
  EXPECT_THAT(with("tandem.training.1", "tandem.training.2"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(checkpoint_file().string()),
                             HasSubstr("format"))));
  EXPECT_THAT(with("\\\"taken\\\":", "\\\"t_ken\\\":"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'taken'")));
  EXPECT_THAT(with("optimizer.steps", "optimizer.stepz"),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("'optimizer.steps' is missing")));
  ASSERT_THAT(WriteFileAtomically(checkpoint_file(), whole.substr(0, 999)),
              IsOk());
  EXPECT_THAT(Train(), StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(TrainingRunTest, StopsEarlyAndKeepsTheBestAdapter) {
  UseValidation(/*every=*/1, /*patience=*/3);
  options_.steps = 200;
  options_.trainer.schedule.total_steps = 200;
  options_.trainer.optimizer.learning_rate = 1;  // soon far from any minimum
  std::vector<double> losses;
  const auto result = Train({.on_step = [&](const StepMetrics& metrics) {
    losses.push_back(MeanLoss(*metrics.evaluation));
    return true;
  }});
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->stopped_early);
  EXPECT_LT(losses.size(), 200u);
  EXPECT_EQ(result->progress.steps, result->progress.best_step + 3);
  const double best = *std::min_element(losses.begin(), losses.end());
  EXPECT_EQ(*result->progress.best_loss, best);
  EXPECT_LT(best, losses.back());
  EXPECT_EQ(MeanLoss(Evaluate(model_, &result->adapter, validation_)), best);
}

TEST_F(TrainingRunTest, EvaluatesWhenDueAndAtTheEnd) {
  UseValidation(/*every=*/5, /*patience=*/0);
  std::vector<int64_t> evaluated;
  ASSERT_THAT(Train({.on_step =
                         [&](const StepMetrics& metrics) {
                           if (metrics.evaluation)
                             evaluated.push_back(metrics.step);
                           return true;
                         }}),
              IsOk());
  EXPECT_THAT(evaluated, ::testing::ElementsAre(5, 10, 12));
}

}  // namespace
}  // namespace tandem
