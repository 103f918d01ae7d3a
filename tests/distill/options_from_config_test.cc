#include "distill/options_from_config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(CheckConfigRanges, DefaultsAreInRange) {
  EXPECT_THAT(CheckConfigRanges(proto::ServerConfig(), "server"), IsOk());
  EXPECT_THAT(CheckConfigRanges(proto::ClientConfig(), "client"), IsOk());
}

TEST(CheckConfigRanges, NamesTheFieldTheValueAndTheRange) {
  proto::ServerConfig config;
  config.mutable_training()->mutable_optimizer()->set_learning_rate(11);
  EXPECT_THAT(
      CheckConfigRanges(config, "server"),
      StatusIs(StatusCode::kInvalidArgument,
               "server.training.optimizer.learning_rate is 11, expected 0 to "
               "10"));
  proto::LimitsConfig limits;
  limits.set_max_object_bytes(0);
  EXPECT_THAT(CheckConfigRanges(limits, "limits"),
              StatusIs(StatusCode::kInvalidArgument,
                       "limits.max_object_bytes is 0, expected at least 1"));
}

TEST(CheckConfigRanges, NaNIsNeverInRange) {
  proto::TrainingConfig training;
  training.set_distillation_weight(std::nan(""));
  EXPECT_THAT(CheckConfigRanges(training, "training"),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("training.distillation_weight is nan")));
}

TEST(CheckConfigRanges, ChoicesAreListed) {
  proto::AggregationConfig config;
  config.set_rule("fedprox");
  EXPECT_THAT(
      CheckConfigRanges(config, "aggregation"),
      StatusIs(StatusCode::kInvalidArgument,
               "aggregation.rule is 'fedprox', expected one of fedavg|ffa"));
}

TEST(LoraOptionsFrom, TakesEveryField) {
  proto::LoraConfig config;
  config.set_rank(3);
  config.set_alpha(5);
  config.add_target_modules("q_proj");
  config.set_use_rslora(true);
  config.set_use_dora(true);
  config.set_dropout(0.25);
  TANDEM_ASSERT_OK_AND_ASSIGN(const LoraOptions options,
                              LoraOptionsFrom(config));
  EXPECT_EQ(options.rank, 3);
  EXPECT_EQ(options.alpha, 5);
  EXPECT_THAT(options.target_modules, ElementsAre("q_proj"));
  EXPECT_TRUE(options.use_rslora);
  EXPECT_TRUE(options.use_dora);
  EXPECT_EQ(options.dropout, 0.25);
  config.set_rank(0);
  EXPECT_THAT(LoraOptionsFrom(config),
              StatusIs(StatusCode::kInvalidArgument,
                       "lora.rank is 0, expected 1 to 1024"));
}

TEST(LoraOptionsFrom, PatternsGiveModulesTheirOwnRankAndAlpha) {
  proto::LoraConfig config;
  auto* rank = config.add_rank_pattern();
  rank->set_modules("layers\\.[01]\\.mlp\\.up_proj");
  rank->set_rank(4);
  auto* alpha = config.add_alpha_pattern();
  alpha->set_modules("q_proj");
  alpha->set_alpha(48);
  TANDEM_ASSERT_OK_AND_ASSIGN(const LoraOptions options,
                              LoraOptionsFrom(config));
  const auto up = [](int layer) {
    return fmt::format("model.layers.{}.mlp.up_proj", layer);
  };
  EXPECT_EQ(ModuleRank(options, up(1)), 4);
  EXPECT_EQ(ModuleRank(options, up(2)), 16);
  EXPECT_EQ(ModuleScale(options, "model.layers.2.self_attn.q_proj"), 48.0 / 16);
  EXPECT_EQ(ModuleScale(options, up(1)), 32.0 / 4);
  alpha->set_alpha(-1);
  EXPECT_THAT(
      LoraOptionsFrom(config),
      StatusIs(StatusCode::kInvalidArgument,
               "lora.alpha_pattern.0.alpha is -1, expected 0.001 to 100000"));
  alpha->set_alpha(48);
  alpha->set_modules("(");
  EXPECT_THAT(LoraOptionsFrom(config),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("lora.alpha_pattern: ")));
  alpha->set_modules(std::string(1001, 'q'));
  EXPECT_THAT(LoraOptionsFrom(config),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("1001 bytes, expected at most 1000")));
  for (int i = 0; i < 10'000; ++i) *config.add_rank_pattern() = *rank;
  EXPECT_THAT(LoraOptionsFrom(config),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("expected at most 10000")));
}

TEST(TrainerOptionsFrom, TakesEveryField) {
  proto::OptimizerConfig config;
  config.set_learning_rate(0.25);
  config.set_beta1(0.5);
  config.set_beta2(0.75);
  config.set_epsilon(1e-3);
  config.set_weight_decay(0.125);
  config.set_warmup_steps(5);
  config.set_final_learning_rate_ratio(0.375);
  config.set_max_grad_norm_l2(7);
  config.set_lora_plus_ratio(16);
  TANDEM_ASSERT_OK_AND_ASSIGN(const TrainerOptions options,
                              TrainerOptionsFrom(config, 40, true));
  EXPECT_EQ(options.optimizer.learning_rate, 0.25);
  EXPECT_EQ(options.optimizer.beta1, 0.5);
  EXPECT_EQ(options.optimizer.beta2, 0.75);
  EXPECT_EQ(options.optimizer.epsilon, 1e-3);
  EXPECT_EQ(options.optimizer.weight_decay, 0.125);
  EXPECT_EQ(options.schedule.warmup_steps, 5);
  EXPECT_EQ(options.schedule.total_steps, 40);
  EXPECT_EQ(options.schedule.final_ratio, 0.375);
  EXPECT_EQ(options.max_grad_norm_l2, 7);
  EXPECT_EQ(options.lora_plus_ratio, 16);
  EXPECT_TRUE(options.freeze_lora_a);
  TANDEM_ASSERT_OK_AND_ASSIGN(const ScheduleOptions short_run,
                              ScheduleOptionsFrom(config, 3));
  EXPECT_EQ(short_run.warmup_steps, 3);
}

TEST(DistillerOptionsFrom, StagesDiffer) {
  proto::DistillationConfig config;
  config.set_initial_steps(9);
  config.set_steps_per_round(4);
  config.set_initial_teacher_weight(0.25);
  config.set_round_teacher_weight(0.75);
  config.mutable_initial_optimizer()->set_learning_rate(0.5);
  config.mutable_round_optimizer()->set_learning_rate(0.125);
  config.set_loss("jsd");
  config.set_jsd_beta(0.375);
  config.set_batch_size(3);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const DistillerOptions initial,
      DistillerOptionsFrom(config, DistillationStage::kInitial, false, 5));
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const DistillerOptions round,
      DistillerOptionsFrom(config, DistillationStage::kRound, true, 6));
  EXPECT_EQ(initial.steps, 9);
  EXPECT_EQ(initial.trainer.schedule.total_steps, 9);
  EXPECT_EQ(initial.teacher_weight, 0.25);
  EXPECT_EQ(initial.trainer.optimizer.learning_rate, 0.5);
  EXPECT_FALSE(initial.trainer.freeze_lora_a);
  EXPECT_EQ(initial.seed, 5u);
  EXPECT_EQ(round.steps, 4);
  EXPECT_EQ(round.teacher_weight, 0.75);
  EXPECT_EQ(round.trainer.optimizer.learning_rate, 0.125);
  EXPECT_TRUE(round.trainer.freeze_lora_a);
  EXPECT_EQ(round.loss, DistillationLoss::kGeneralizedJsd);
  EXPECT_EQ(round.jsd_beta, 0.375);
  EXPECT_EQ(round.batch_size, 3);
}

TEST(CheckFitsContext, NamesFieldValueAndContext) {
  EXPECT_THAT(CheckFitsContext("training.max_sequence_tokens", 512, 512),
              IsOk());
  EXPECT_THAT(
      CheckFitsContext("training.max_sequence_tokens", 513, 512),
      StatusIs(StatusCode::kInvalidArgument,
               HasSubstr("training.max_sequence_tokens is 513, the model's "
                         "context length is 512 tokens")));
}

TEST(TargetOptionsFrom, TakesBothFields) {
  proto::DistillationConfig config;
  config.set_top_k(8);
  config.set_temperature(2);
  TANDEM_ASSERT_OK_AND_ASSIGN(const TargetOptions options,
                              TargetOptionsFrom(config));
  EXPECT_EQ(options.top_k, 8);
  EXPECT_EQ(options.temperature, 2);
}

}  // namespace
}  // namespace tandem
