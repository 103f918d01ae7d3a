// A whole run from the command line, on a tiny random model: simulate, look at
// it, export it.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/adapted_linears.h"
#include "model/adapter.h"
#include "model/aten.h"
#include "model/checkpoint.h"
#include "tests/testing/limited_disk.h"
#include "tests/testing/run_tandem.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"
#include "tests/testing/tiny_run_files.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::CommandResult;
using ::tandem::testing::Contents;
using ::tandem::testing::GrowSmallDisk;
using ::tandem::testing::InChildProcess;
using ::tandem::testing::IsOk;
using ::tandem::testing::MountSmallDisk;
using ::tandem::testing::RunTandem;
using ::tandem::testing::TinyCheckpoint;
using ::tandem::testing::TinyRunFiles;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

class SimulateTest : public ::testing::Test {
 protected:
  SimulateTest() {
    std::ofstream(path("server.yaml")) << fmt::format(
        R"(run: {{name: tiny, directory: {0}/run}}
model: {{student: {0}/model, teacher: {0}/model, compute_dtype: fp32}}
lora: {{rank: 2, alpha: 4}}
rounds: {{count: 2}}
training: {{steps: 2, batch_size: 2}}
privacy: {{enabled: true, clip_norm_l2: 1, noise_multiplier: 0.01}}
distillation:
  data: {0}/aux.jsonl
  initial_steps: 1
  steps_per_round: 1
  top_k: 4
  target_cache_directory: {0}/targets
evaluation: {{data: [{{name: aux, file: {0}/aux.jsonl}}]}}
simulation:
  private_data:
    - {{name: a, train: {0}/a.jsonl, evaluation: {0}/a.jsonl}}
    - {{name: b, train: {0}/b.jsonl, evaluation: {0}/b.jsonl}}
)",
        files_.folder());
  }

  std::string path(const std::string& name) const { return files_.path(name); }

  CommandResult Simulate(const Words& more = {}) {
    Words words = {"simulate", "--config", path("server.yaml"), "--clients",
                   "3"};
    words.insert(words.end(), more.begin(), more.end());
    return RunTandem(words);
  }
  nlohmann::json Show() {
    return nlohmann::json::parse(
        RunTandem({"run", "show", "--state", path("run"), "--json"}).out);
  }
  CommandResult Export(const Words& more) {
    Words words = {"export", "--run", path("run")};
    words.insert(words.end(), more.begin(), more.end());
    return RunTandem(words);
  }

  const TinyRunFiles files_;
};

TEST_F(SimulateTest, RunsAllRoundsAndReportsThem) {
  const CommandResult result = Simulate();
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("FINISHED"));
  // Not a terminal: no carriage returns.
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("round 2: COMMITTED"), Not(HasSubstr("\r"))));

  const nlohmann::json run = Show();
  EXPECT_EQ(run["state"], "FINISHED");
  EXPECT_EQ(run["rounds_committed"], 2);
  ASSERT_EQ(run["clients"].size(), 3u);
  EXPECT_GT(run["clients"][0]["tokens_trained"], 0);
  EXPECT_GT(run["clients"][0]["bytes_uploaded"], 0);
  const nlohmann::json& last = run["rounds"][1];
  EXPECT_EQ(last["outcomes"]["ACCEPTED"], 3);
  // The server on aux, three clients on their own.
  EXPECT_EQ(last["evaluations"].size(), 4u);
  EXPECT_GT(run["privacy"]["epsilon"], 100.0);
  EXPECT_EQ(run["privacy"]["unit"], "one client with all of its data");
  EXPECT_EQ(run["privacy"]["adjacency"], "add/remove");

  const CommandResult list = RunTandem({"run", "list", "--state", path("")});
  EXPECT_THAT(list.out, AllOf(HasSubstr("tiny"), HasSubstr("2/2")));
  const CommandResult text = RunTandem({"run", "show", "--state", path("run")});
  EXPECT_THAT(text.out, AllOf(HasSubstr("round 2: COMMITTED"),
                              HasSubstr("client client-000"),
                              HasSubstr("adjacency: add or remove")));
}

TEST_F(SimulateTest, ExportsLoadAndDifferFromTheStudent) {
  ASSERT_EQ(Simulate().code, 0);
  EXPECT_EQ(Export({"--format", "peft", "--out", path("peft")}).code, 0);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const Adapter adapter,
      LoadAdapter(path("peft"), files_.checkpoint().config));
  const Checkpoint merged = MergeAdapter(files_.checkpoint(), adapter);
  EXPECT_NE(Digest(merged), Digest(files_.checkpoint()));

  EXPECT_EQ(
      Export({"--format", "hf", "--type", "f32", "--out", path("hf")}).code, 0);
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint folder,
                              LoadCheckpoint(path("hf")));
  EXPECT_EQ(Digest(folder), Digest(merged));

  EXPECT_EQ(
      Export({"--format", "gguf", "--type", "f32", "--out", path("m.gguf")})
          .code,
      0);
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint gguf,
                              LoadCheckpoint(path("m.gguf")));
  EXPECT_EQ(Digest(gguf), Digest(merged));
}

// Without noise and distillation, a magnitude moves only where training at the
// clients and their mean move it.
TEST_F(SimulateTest, DoraMagnitudesAreTrainedAveragedAndExported) {
  const CommandResult result =
      Simulate({"--set", "lora.use_dora=true", "--set", "privacy.enabled=false",
                "--set", "distillation.enabled=false"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Show()["rounds"][1]["outcomes"]["ACCEPTED"], 3);
  ASSERT_EQ(Export({"--format", "peft", "--out", path("peft")}).code, 0);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const Adapter adapter,
      LoadAdapter(path("peft"), files_.checkpoint().config));
  EXPECT_TRUE(adapter.options.use_dora);
  int magnitudes = 0;
  for (const auto& [name, weight] : files_.checkpoint().tensors) {
    const std::string module = name.substr(0, name.rfind(".weight"));
    const auto found = adapter.tensors.find(MagnitudeName(module));
    if (found == adapter.tensors.end()) continue;
    ++magnitudes;
    EXPECT_FALSE(found->second.allclose(weight.norm(2, {1}), 1e-4)) << name;
  }
  EXPECT_EQ(magnitudes, 7 * files_.checkpoint().config.layers);
}

TEST_F(SimulateTest, ExportRefusesAnotherStudent) {
  ASSERT_EQ(Simulate({"--set", "rounds.count=1"}).code, 0);
  EXPECT_THAT(
      SaveHuggingFace(TinyCheckpoint(/*seed=*/2), at::kFloat, path("other")),
      IsOk());
  const CommandResult result = Export(
      {"--format", "peft", "--out", path("peft"), "--model", path("other")});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr(path("other")));
  EXPECT_FALSE(std::filesystem::exists(path("peft")));
}

TEST_F(SimulateTest, OneSeedGivesOneResult) {
  ASSERT_EQ(Simulate({"--set", "privacy.insecure_noise_seed_for_tests=7"}).code,
            0);
  Export({"--format", "peft", "--out", path("one")});
  ASSERT_EQ(Simulate({"--set", "privacy.insecure_noise_seed_for_tests=7",
                      "--set", "simulation.parallel_clients=3", "--set",
                      "run.directory=" + path("again")})
                .code,
            0);
  RunTandem({"export", "--run", path("again"), "--format", "peft", "--out",
             path("two")});
  EXPECT_EQ(Contents(path("one") + "/adapter_model.safetensors"),
            Contents(path("two") + "/adapter_model.safetensors"));
  EXPECT_FALSE(Contents(path("two") + "/adapter_model.safetensors").empty());
}

TEST_F(SimulateTest, BudgetStopsTheRunInAClearState) {
  const CommandResult result = Simulate({"--set", "privacy.epsilon_budget=1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("BUDGET_EXHAUSTED"));
  EXPECT_EQ(Show()["state"], "BUDGET_EXHAUSTED");
}

TEST_F(SimulateTest, JsonIsTheReportAndAllThatIsPrinted) {
  const CommandResult result = Simulate({"--set", "rounds.count=1", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out, nullptr, false), Show());
}

// Kibibytes of disk: too few for an empty database, for the first adapter, for
// the first round.
class FullDiskTest : public SimulateTest,
                     public ::testing::WithParamInterface<int> {};

TEST_P(FullDiskTest, SaysSoAndGoesOnWhenThereIsRoom) {
  std::filesystem::create_directory(path("run"));
  InChildProcess([this] {
    if (!MountSmallDisk(path("run"), GetParam())) {
      std::ofstream(path("not-mounted")) << "x";
      return;
    }
    const CommandResult full = Simulate();
    EXPECT_EQ(full.code, 1) << full.err;
    EXPECT_THAT(full.err.substr(full.err.rfind("tandem: ")),
                AllOf(HasSubstr(path("run/")),
                      AnyOf(HasSubstr("No space left on device"),
                            HasSubstr("database or disk is full"))));
    ASSERT_TRUE(GrowSmallDisk(path("run"), 16 * 1024));
    const CommandResult result = Simulate();
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(Show()["rounds_committed"], 2);
  });
  if (std::filesystem::exists(path("not-mounted"))) {
    GTEST_SKIP() << "this machine does not let a process mount a file system "
                    "of its own";
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, FullDiskTest, ::testing::Values(64, 128, 320));

TEST_F(SimulateTest, MissingPrivateDataFails) {
  std::filesystem::remove(path("b.jsonl"));
  const CommandResult result = Simulate();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("b.jsonl"));
}

}  // namespace
}  // namespace tandem::cli
