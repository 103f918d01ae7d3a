#include "server/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distill/options_from_config.h"
#include "server/auxiliary_schedule.h"
#include "server/client_metrics.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;

TEST(RunConfig, UnsetEqualsItsDefaultAndSomeFieldsMayChange) {
  proto::ServerConfig stored, given;
  given.mutable_rounds()->set_count(3);  // the default
  given.mutable_listen()->set_address("127.0.0.1:0");
  given.mutable_limits()->set_max_clients(5);
  given.mutable_log()->set_level("debug");
  given.mutable_run()->set_directory("elsewhere");
  given.mutable_model()->set_student("the/same/model.gguf");
  given.mutable_model()->set_threads(2);
  EXPECT_THAT(CheckSameConfig(ConfigToText(stored), given), IsOk());
}

TEST(RunConfig, DoraIsNotForARuleThatFreezesA) {
  proto::ServerConfig config;
  config.mutable_distillation()->set_enabled(false);
  config.mutable_lora()->set_use_dora(true);
  EXPECT_THAT(CheckServerConfig(config), IsOk());
  config.mutable_aggregation()->set_rule("ffa");
  EXPECT_THAT(CheckServerConfig(config),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("lora.use_dora is true, which "
                                 "aggregation.rule 'ffa' cannot average")));
}

TEST(RunConfig, TheFirstDifferenceIsNamedWithBothValues) {
  proto::ServerConfig stored, given;
  given.mutable_rounds()->set_count(4);
  EXPECT_THAT(CheckSameConfig(ConfigToText(stored), given),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("rounds.count = 3, the configuration now "
                                 "says 4")));
  given = stored;
  given.mutable_lora()->add_target_modules("q_proj");
  EXPECT_THAT(CheckSameConfig(ConfigToText(stored), given),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("lora.target_modules = 0 entries")));
  *stored.mutable_lora() = given.lora();
  stored.mutable_lora()->set_target_modules(0, "v_proj");
  EXPECT_THAT(CheckSameConfig(ConfigToText(stored), given),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("lora.target_modules[0] = \"v_proj\"")));
  EXPECT_THAT(CheckSameConfig("not a message {", given),
              StatusIs(StatusCode::kDataLoss));
}

TEST(RunConfig, ContradictionsAreNamed) {
  proto::ServerConfig config;
  config.mutable_distillation()->set_enabled(false);
  EXPECT_THAT(CheckServerConfig(config), IsOk());
  config.mutable_rounds()->set_cohort_size(2);
  config.mutable_rounds()->set_quorum(3);
  EXPECT_THAT(CheckServerConfig(config),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("rounds.quorum is 3"),
                             HasSubstr("rounds.cohort_size 2"))));
  config.mutable_rounds()->set_quorum(1);
  config.mutable_rounds()->set_selector("poisson");
  config.mutable_rounds()->set_sampling_rate(0);
  config.mutable_privacy()->set_enabled(true);
  EXPECT_THAT(CheckServerConfig(config), StatusIs(StatusCode::kInvalidArgument,
                                                  HasSubstr("sampling_rate")));
  config = {};
  EXPECT_THAT(CheckServerConfig(config), StatusIs(StatusCode::kInvalidArgument,
                                                  HasSubstr("model.teacher")));
  config.mutable_model()->set_teacher("t");
  EXPECT_THAT(
      CheckServerConfig(config),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("distillation.data")));
  config.mutable_distillation()->set_data("d");
  EXPECT_THAT(CheckServerConfig(config), IsOk());
}

proto::ServerConfig ConfigWithPrivacy() {
  proto::ServerConfig config;
  config.mutable_distillation()->set_enabled(false);
  config.mutable_privacy()->set_enabled(true);
  return config;
}

TEST(RunConfig, PrivacyWithACohortOfFixedSizeIsRefused) {
  proto::ServerConfig config = ConfigWithPrivacy();
  EXPECT_THAT(CheckServerConfig(config), IsOk());
  config.mutable_rounds()->set_cohort_size(6);
  EXPECT_THAT(CheckServerConfig(config),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("rounds.cohort_size is 6"),
                             HasSubstr("rounds.selector=poisson"),
                             HasSubstr("rounds.cohort_size=0"))));
  config.mutable_rounds()->set_selector("poisson");
  EXPECT_THAT(CheckServerConfig(config), IsOk());
  config.mutable_rounds()->set_selector("fixed");
  config.mutable_privacy()->set_enabled(false);
  EXPECT_THAT(CheckServerConfig(config), IsOk());
}

TEST(RunConfig, AClipNormThatTheUpdateLimitRefusesIsRefused) {
  proto::ServerConfig config = ConfigWithPrivacy();
  config.mutable_privacy()->set_clip_norm_l2(20);
  config.mutable_limits()->set_max_update_norm_l2(20);
  EXPECT_THAT(CheckServerConfig(config), IsOk());
  config.mutable_limits()->set_max_update_norm_l2(10);
  EXPECT_THAT(CheckServerConfig(config),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("privacy.clip_norm_l2 is 20"),
                             HasSubstr("limits.max_update_norm_l2, 10"))));
}

TEST(RunConfig, TheLimitsOfUpdatesComeFromTheConfiguration) {
  proto::ServerConfig config;
  EXPECT_EQ(UpdateLimitsFrom(config).max_update_norm_l2, 1e4);
  config.mutable_limits()->set_max_update_norm_l2(5);
  EXPECT_EQ(UpdateLimitsFrom(config).max_update_norm_l2, 5);
}

TEST(RunConfig, ExpectedClientsReplaceTheDenominator) {
  proto::ServerConfig config = ConfigWithPrivacy();
  config.mutable_rounds()->set_min_clients(8);
  config.mutable_privacy()->set_expected_clients(2.5);
  EXPECT_EQ(AggregationOptionsFrom(config).privacy->expected_clients, 2.5);
  config.mutable_rounds()->set_selector("poisson");
  config.mutable_rounds()->set_sampling_rate(0.25);
  EXPECT_EQ(AggregationOptionsFrom(config).privacy->expected_clients, 2.5);
  EXPECT_THAT(CheckServerConfig(config), IsOk());
  config.mutable_privacy()->set_expected_clients(-1);
  EXPECT_THAT(CheckServerConfig(config),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("expected_clients is -1")));
  EXPECT_THAT(CheckConfigRanges(config, "server"),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("privacy.expected_clients")));
}

TEST(RunConfig, ThePrivateDenominatorComesFromTheConfigurationAlone) {
  proto::ServerConfig config;
  config.mutable_privacy()->set_enabled(true);
  auto& rounds = *config.mutable_rounds();
  rounds.set_min_clients(8);
  EXPECT_EQ(AggregationOptionsFrom(config).privacy->expected_clients, 8);
  EXPECT_EQ(SamplingRateForPrivacy(rounds), 1);
  rounds.set_cohort_size(4);
  EXPECT_EQ(AggregationOptionsFrom(config).privacy->expected_clients, 4);
  // Drawing 4 of 8 without replacement is not Poisson sampling.
  EXPECT_EQ(SamplingRateForPrivacy(rounds), 1);
  rounds.set_selector("poisson");
  rounds.set_sampling_rate(0.25);
  EXPECT_EQ(AggregationOptionsFrom(config).privacy->expected_clients, 2);
  EXPECT_EQ(SamplingRateForPrivacy(rounds), 0.25);
}

TEST(AuxiliarySchedule, PartsDoNotOverlapWhereThereIsEnough) {
  proto::ServerConfig config;
  auto& distillation = *config.mutable_distillation();
  distillation.set_batch_size(2);
  distillation.set_initial_steps(2);
  distillation.set_steps_per_round(1);
  distillation.set_client_examples(3);
  config.mutable_rounds()->set_count(2);
  config.mutable_training()->set_distillation_weight(0.5);
  const AuxiliarySchedule schedule(config);
  EXPECT_EQ(schedule.size(), 11);
  EXPECT_THAT(schedule.Initial(11), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(schedule.Round(1, 11), ElementsAre(4, 5));
  EXPECT_THAT(schedule.Round(2, 11), ElementsAre(6, 7));
  EXPECT_THAT(schedule.Clients(11), ElementsAre(8, 9, 10));
  EXPECT_THAT(schedule.Initial(3), ElementsAre(0, 1, 2));
  EXPECT_THAT(schedule.Round(2, 3), ElementsAre(0, 1));
  distillation.set_enabled(false);
  EXPECT_EQ(AuxiliarySchedule(config).size(), 0);
}

TEST(ClientMetrics, PeersTextIsMadePrintable) {
  EXPECT_EQ(Printable("a\nb\x1b[31m\xff"), "a?b?[31m?");
  EXPECT_EQ(Printable(std::string(1000, 'x'), 10).size(), 10u);
}

TEST(ClientMetrics, AbsurdNumbersAreNamed) {
  proto::TaskMetrics metrics;
  metrics.set_train_loss(std::nan(""));
  EXPECT_THAT(CheckMetrics(metrics), IsOk());
  metrics.set_train_seconds(std::nan(""));
  EXPECT_THAT(CheckMetrics(metrics),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("metrics.train_seconds is nan")));
  metrics.clear_train_seconds();
  auto* result = metrics.add_evaluation();
  EXPECT_THAT(CheckMetrics(metrics),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("name")));
  result->set_name("n");
  result->set_loss_nats(-1);
  EXPECT_THAT(CheckMetrics(metrics),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("loss_nats")));
  result->set_loss_nats(1);
  EXPECT_THAT(CheckMetrics(metrics), IsOk());
  for (int i = 0; i < kMaxEvaluationResults; ++i) {
    metrics.add_evaluation()->set_name("n");
  }
  EXPECT_THAT(CheckMetrics(metrics),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("at most 64")));
}

TEST(ClientMetrics, CountsSaturate) {
  ClientRow client;
  proto::TaskMetrics metrics;
  metrics.set_trained_tokens(int64_t{1} << 53);
  for (int i = 0; i < 2000; ++i) AddMetrics(metrics, client);
  EXPECT_EQ(client.trained_tokens, std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace tandem
