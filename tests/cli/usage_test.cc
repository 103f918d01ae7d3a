// What a user meets before any work is done: help, wrong usage, exit codes.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/testing/run_tandem.h"
#include "tests/testing/temp_folder.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::CommandResult;
using ::tandem::testing::RunTandem;
using ::tandem::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

class HelpTest : public ::testing::TestWithParam<Words> {};

TEST_P(HelpTest, HasAnExample) {
  Words arguments = GetParam();
  std::string name = "tandem";
  for (const std::string& word : arguments) name += " " + word;
  arguments.push_back("--help");
  const CommandResult help = RunTandem(arguments);
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.err, IsEmpty());
  EXPECT_THAT(help.out, HasSubstr("Example:\n  " + name + " "));
}

INSTANTIATE_TEST_SUITE_P(
    EveryLevel, HelpTest,
    ::testing::Values(Words{}, Words{"server"}, Words{"client"},
                      Words{"simulate"}, Words{"train"}, Words{"eval"},
                      Words{"generate"}, Words{"distill"}, Words{"export"},
                      Words{"model"}, Words{"model", "info"},
                      Words{"model", "prune"}, Words{"model", "tokenize"},
                      Words{"model", "logits"}, Words{"data"},
                      Words{"data", "dictionary"}, Words{"privacy"},
                      Words{"privacy", "epsilon"}, Words{"run"},
                      Words{"run", "list"}, Words{"run", "show"}),
    [](const auto& info) {
      std::string name = "tandem";
      for (const std::string& word : info.param) name += "_" + word;
      return name;
    });

class WrongUsageTest : public ::testing::TestWithParam<Words> {};

TEST_P(WrongUsageTest, ExitsWithTwoAndSaysWhy) {
  const CommandResult result = RunTandem(GetParam());
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, AllOf(StartsWith("tandem: "), HasSubstr("--help")));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, WrongUsageTest,
    ::testing::Values(
        Words{}, Words{"nonsense"}, Words{"model"}, Words{"server"},
        Words{"model", "info", "--nonsense"},
        Words{"eval", "--model", "m", "--data", "d", "--max-examples", "many"},
        Words{"export", "--run", "r", "--format", "zip", "--out", "o"},
        Words{"generate", "--model", "m", "--prompt", "p", "--top-p", "1.5"},
        Words{"model", "tokenize", "--model", "m"},
        Words{"model", "tokenize", "--model", "m", "--text", "t", "--file",
              "f"}));

void ExpectFailure(const Words& arguments, const std::string& message) {
  const CommandResult result = RunTandem(arguments);
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, AllOf(HasSubstr("tandem: "), HasSubstr(message)));
}

TEST(FailureTest, MissingFilesAreNamed) {
  ExpectFailure({"model", "info", "--model", "/no/such.gguf"}, "/no/such.gguf");
  ExpectFailure({"server", "--config", "/no/such.yaml"}, "/no/such.yaml");
  ExpectFailure({"client", "--config", "/no/such.yaml"}, "/no/such.yaml");
  ExpectFailure({"run", "list", "--state", "/no/such"}, "/no/such");
  ExpectFailure({"run", "show", "--state", "/no/such"}, "/no/such");
}

TEST(FailureTest, ConfigurationTypoHasLineAndNearestName) {
  const TempFolder folder;
  const std::string path = folder / "server.yaml";
  std::ofstream(path) << "model:\n  student: m\nrounds:\n  cuont: 3\n";
  ExpectFailure({"server", "--config", path}, path + ":4: rounds.cuont");
  ExpectFailure({"simulate", "--config", path, "--clients", "2"}, "'count'");
}

TEST(FailureTest, OverrideOutOfRange) {
  const TempFolder folder;
  const std::string path = folder / "server.yaml";
  std::ofstream(path) << "model: {student: m}\n";
  ExpectFailure({"server", "--config", path, "--set", "rounds.count=0"},
                "rounds.count");
}

// dp-accounting 0.6.0: RDP at integer orders 2 .. 63, 1.1 / 0.01 / 1000 / 1e-5.
TEST(PrivacyEpsilonTest, PrintsJson) {
  const CommandResult result = RunTandem(
      {"privacy", "epsilon", "--noise-multiplier", "1.1", "--sampling-rate",
       "0.01", "--steps", "1000", "--delta", "1e-5", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_NEAR(json["epsilon"].get<double>(), 1.7252908180449444, 1e-9);
  EXPECT_EQ(json["delta"], 1e-5);
  EXPECT_EQ(json["accountant"], "rdp");
  EXPECT_EQ(json["order"], 9);
}

TEST(PrivacyEpsilonTest, ValueOutOfRangeFails) {
  ExpectFailure({"privacy", "epsilon", "--noise-multiplier", "1",
                 "--sampling-rate", "2", "--steps", "1", "--delta", "1e-5"},
                "2");
}

}  // namespace
}  // namespace tandem::cli
