#include "cli/run_json.h"

#include <gmock/gmock.h>

#include <cmath>

namespace tandem::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunReport TwoRounds() {
  RunReport report;
  report.name = "run";
  report.state = "FINISHED";
  report.config.mutable_rounds()->set_count(2);
  RoundReport first;
  first.number = 1;
  first.state = "COMMITTED";
  RoundReport second;
  second.number = 2;
  second.state = "FAILED";
  second.reason = "no quorum";
  EvaluationResult result;
  result.loss_nats = 20;
  result.target_tokens = 10;
  result.target_bytes = 40;
  result.examples = 2;
  second.evaluations.push_back({"client-a", "jargon", result});
  report.rounds = {first, second};
  report.clients = {{"client-a", 100, 2000, 3000, 1.5, 4096}};
  return report;
}

TEST(RunJsonTest, HasRoundsEvaluationsAndClients) {
  const Json json = RunJson(TwoRounds());
  EXPECT_EQ(json["rounds_committed"], 1);
  EXPECT_EQ(json["rounds_planned"], 2);
  EXPECT_EQ(json["rounds"][1]["reason"], "no quorum");
  const Json& evaluation = json["rounds"][1]["evaluations"][0];
  EXPECT_EQ(evaluation["source"], "client-a");
  EXPECT_NEAR(evaluation["perplexity"], std::exp(2.0), 1e-12);
  EXPECT_NEAR(evaluation["bits_per_byte"], 20 / std::log(2.0) / 40, 1e-12);
  EXPECT_EQ(json["clients"][0]["bytes_uploaded"], 3000);
  EXPECT_TRUE(json["privacy"].is_null());
}

TEST(RunJsonTest, PrivacyHasUnitAndAdjacency) {
  RunReport report = TwoRounds();
  report.config.mutable_privacy()->set_enabled(true);
  report.epsilon = 3.5;
  report.delta = 1e-5;
  const Json privacy = RunJson(report)["privacy"];
  EXPECT_EQ(privacy["epsilon"], 3.5);
  EXPECT_EQ(privacy["delta"], 1e-5);
  EXPECT_EQ(privacy["unit"], "one client with all of its data");
  EXPECT_EQ(privacy["adjacency"], "add/remove");
}

TEST(PrivacySentenceTest, LargeEpsilonIsExplained) {
  RunReport report = TwoRounds();
  report.config.mutable_privacy()->set_enabled(true);
  report.delta = 1e-5;
  report.epsilon = 3.5;
  EXPECT_THAT(PrivacySentence(report),
              AllOf(HasSubstr("(3.5, 1e-05)"), Not(HasSubstr("because"))));
  report.epsilon = 1.5e6;
  EXPECT_THAT(PrivacySentence(report),
              AllOf(HasSubstr("(1.5e+06, 1e-05)"), HasSubstr("because")));
}

TEST(PrivacySentenceTest, SaysWherePrivacyIsOff) {
  EXPECT_THAT(PrivacySentence(TwoRounds()), HasSubstr("off"));
}

}  // namespace
}  // namespace tandem::cli
