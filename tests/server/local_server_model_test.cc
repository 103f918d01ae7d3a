#include "server/local_server_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "distill/teacher_targets.h"
#include "model/aten.h"
#include "model/checkpoint.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

bool GoOn(int64_t, int64_t) { return true; }

class LocalServerModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(SaveHuggingFace(testing::TinyCheckpoint(1), at::kFloat,
                                folder_ / "student"),
                IsOk());
    ASSERT_THAT(SaveHuggingFace(testing::TinyCheckpoint(2), at::kFloat,
                                folder_ / "teacher"),
                IsOk());
    std::ofstream auxiliary(folder_ / "auxiliary.jsonl");
    for (int i = 0; i < 30; ++i) {
      auxiliary << R"({"prompt": "Define: )" << i
                << R"(", "completion": "the number after )" << i - 1 << "\"}\n";
    }
    config_.mutable_run()->set_seed(5);
    config_.mutable_model()->set_student((folder_ / "student").string());
    config_.mutable_model()->set_teacher((folder_ / "teacher").string());
    config_.mutable_model()->set_compute_dtype("fp32");
    config_.mutable_lora()->set_rank(4);
    auto& distillation = *config_.mutable_distillation();
    distillation.set_data((folder_ / "auxiliary.jsonl").string());
    distillation.set_target_cache_directory((folder_ / "cache").string());
    distillation.set_batch_size(2);
    distillation.set_initial_steps(12);
    distillation.set_steps_per_round(1);
    distillation.set_client_examples(3);
    distillation.mutable_initial_optimizer()->set_learning_rate(1e-2);
    config_.mutable_training()->set_distillation_weight(0.5);
    auto& held_out = *config_.mutable_evaluation()->add_data();
    held_out.set_name("auxiliary");
    held_out.set_file(distillation.data());
  }

  double LossOf(ServerModel& model, const TensorMap& adapter) {
    const auto results = model.EvaluateAdapter(adapter, GoOn);
    EXPECT_THAT(results, IsOk());
    EXPECT_EQ(results->at(0).name, "auxiliary");
    EXPECT_EQ(results->at(0).result.examples, 30);
    return results->at(0).result.loss_nats;
  }

  testing::TempFolder folder_;
  proto::ServerConfig config_;
};

TEST_F(LocalServerModelTest, InitialDistillationLearnsAndRepeatsExactly) {
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  int64_t last = 0;
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const TensorMap distilled,
      model->InitialAdapter([&](int64_t done, int64_t total) {
        EXPECT_LE(done, total);
        last = done;
        return true;
      }));
  EXPECT_EQ(last, 12);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto again, LoadServerModel(config_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap repeated,
                              again->InitialAdapter(GoOn));
  ASSERT_EQ(repeated.size(), distilled.size());
  for (const auto& [name, tensor] : distilled) {
    EXPECT_TRUE(tensor.equal(repeated.at(name))) << name;
  }
  config_.mutable_distillation()->set_enabled(false);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto plain, LoadServerModel(config_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap fresh,
                              plain->InitialAdapter(GoOn));
  EXPECT_LT(LossOf(*model, distilled), LossOf(*plain, fresh));
  EXPECT_FALSE(plain->DistilsRounds());
}

TEST_F(LocalServerModelTest, RoundDistillationMovesTheAdapter) {
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  EXPECT_TRUE(model->DistilsRounds());
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap initial,
                              model->InitialAdapter(GoOn));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap distilled,
                              model->Distil(initial, 1, GoOn));
  bool moved = false;
  for (const auto& [name, tensor] : distilled) {
    moved = moved || !tensor.equal(initial.at(name));
  }
  EXPECT_TRUE(moved);
  EXPECT_THAT(model->Distil(initial, 1, [](int64_t, int64_t) { return false; }),
              StatusIs(StatusCode::kCancelled));
}

// Internal would end the run, not only the service.
TEST_F(LocalServerModelTest, AStoppedEvaluationIsCancelled) {
  config_.mutable_distillation()->set_enabled(false);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap initial,
                              model->InitialAdapter(GoOn));
  EXPECT_THAT(
      model->EvaluateAdapter(initial, [](int64_t, int64_t) { return false; }),
      StatusIs(StatusCode::kCancelled, HasSubstr("of 30")));
}

TEST_F(LocalServerModelTest, ClientsGetTargetsOfTheirOwnExamples) {
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  const auto file = folder_ / "targets.safetensors";
  ASSERT_THAT(model->WriteClientTargets(file, GoOn), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const TeacherTargets targets,
      ReadTeacherTargets(file, testing::TinyDecoderConfig().vocabulary_size));
  EXPECT_EQ(targets.examples.size(), 3u);
}

TEST_F(LocalServerModelTest, FreezingTheRuleFreezesA) {
  config_.mutable_aggregation()->set_rule("ffa");
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap initial,
                              model->InitialAdapter(GoOn));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap distilled,
                              model->Distil(initial, 1, GoOn));
  for (const auto& [name, tensor] : distilled) {
    const bool is_a = name.find("lora_A") != std::string::npos;
    EXPECT_EQ(tensor.equal(initial.at(name)), is_a) << name;
  }
}

TEST_F(LocalServerModelTest, TheTeachersPassShowsProgressAndCanBeStopped) {
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  int64_t examples = 0;
  const auto stop_at_the_teacher = [&](int64_t done, int64_t total) {
    if (done > 0) examples = total;
    return done == 0;
  };
  EXPECT_THAT(model->InitialAdapter(stop_at_the_teacher),
              StatusIs(StatusCode::kCancelled, HasSubstr("teacher")));
  EXPECT_GT(examples, 12);  // the teacher's examples, not the student's steps
  EXPECT_THAT(model->WriteClientTargets(folder_ / "targets.safetensors",
                                        stop_at_the_teacher),
              StatusIs(StatusCode::kCancelled, HasSubstr("teacher")));
}

TEST_F(LocalServerModelTest, SequencesBeyondTheContextAreNamed) {
  const auto error = [&](const proto::ServerConfig& config) {
    return LoadServerModel(config).status();
  };
  const auto names = [](const std::string& field) {
    return StatusIs(
        StatusCode::kInvalidArgument,
        HasSubstr(field + ".max_sequence_tokens is 513, the model's context "
                          "length is 512 tokens"));
  };
  auto config = config_;
  config.mutable_training()->set_max_sequence_tokens(513);
  EXPECT_THAT(error(config), names("training"));
  config = config_;
  config.mutable_evaluation()->set_max_sequence_tokens(513);
  EXPECT_THAT(error(config), names("evaluation"));
  config = config_;
  config.mutable_distillation()->set_max_sequence_tokens(513);
  EXPECT_THAT(error(config), names("distillation"));
  config.mutable_distillation()->set_max_sequence_tokens(512);
  EXPECT_THAT(error(config), IsOk());
}

TEST_F(LocalServerModelTest, MissingAndEmptyFilesAreNamed) {
  auto config = config_;
  config.mutable_model()->set_student((folder_ / "nowhere.gguf").string());
  EXPECT_THAT(LoadServerModel(config),
              StatusIs(StatusCode::kNotFound, HasSubstr("nowhere.gguf")));
  std::ofstream(folder_ / "empty.jsonl");
  config = config_;
  config.mutable_distillation()->set_data((folder_ / "empty.jsonl").string());
  EXPECT_THAT(LoadServerModel(config),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("empty.jsonl")));
  config = config_;
  config.mutable_evaluation()->mutable_data(0)->set_file(
      (folder_ / "empty.jsonl").string());
  EXPECT_THAT(LoadServerModel(config),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("empty.jsonl")));
}

TEST_F(LocalServerModelTest, ATeacherWithAnotherTokenizerIsRefused) {
  Checkpoint other = testing::TinyCheckpoint(2);
  std::swap(other.tokenizer.tokens[70], other.tokenizer.tokens[71]);
  std::filesystem::remove_all(folder_ / "teacher");
  ASSERT_THAT(SaveHuggingFace(other, at::kFloat, folder_ / "teacher"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(auto model, LoadServerModel(config_));
  EXPECT_THAT(model->InitialAdapter(GoOn),
              StatusIs(StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace tandem
