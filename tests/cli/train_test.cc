// `tandem train` as a process: killed and gone on with, on large files, with
// metrics, validation and a profile.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "model/aten.h"
#include "model/checkpoint.h"
#include "tests/testing/run_tandem.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::BackgroundTandem;
using ::tandem::testing::CommandResult;
using ::tandem::testing::Contents;
using ::tandem::testing::IsOk;
using ::tandem::testing::RunTandem;
using ::tandem::testing::TempFolder;
using ::tandem::testing::TinyCheckpoint;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using Words = std::vector<std::string>;

class TrainTest : public ::testing::Test {
 protected:
  TrainTest() {
    EXPECT_THAT(SaveHuggingFace(TinyCheckpoint(), at::kFloat, path("model")),
                IsOk());
    WriteTexts("data.jsonl", 50, 30);
  }

  std::string path(const std::string& name) const { return folder_ / name; }

  void WriteTexts(const std::string& name, int lines, int length) const {
    std::ofstream out(path(name));
    for (int i = 0; i < lines; ++i) {
      out << R"({"text": ")" << i << ' ' << std::string(length, 'a' + i % 26)
          << "\"}\n";
    }
  }
  Words TrainWords(const std::string& data, const std::string& out,
                   const Words& more) const {
    Words words = {"train",    "--model", path("model"), "--data",
                   path(data), "--rank",  "2",           "--json",
                   "--out",    path(out), "--threads",   "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  nlohmann::json Train(const std::string& data, const std::string& out,
                       const Words& more) const {
    const CommandResult result = RunTandem(TrainWords(data, out, more));
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }
  std::string AdapterBytes(const std::string& out) const {
    return Contents(folder_ / out / "adapter_model.safetensors");
  }

  const TempFolder folder_;
};

TEST_F(TrainTest, AKilledRunGoesOnToTheSameBytes) {
  const Words options = {"--steps",
                         "120",
                         "--accumulation-steps",
                         "2",
                         "--validation",
                         path("data.jsonl"),
                         "--max-validation-examples",
                         "3",
                         "--evaluate-every",
                         "40"};
  const nlohmann::json whole = Train("data.jsonl", "whole", options);
  Words resumable = options;
  resumable.insert(resumable.end(), {"--checkpoint-dir", path("checkpoint"),
                                     "--checkpoint-every", "5", "--metrics-dir",
                                     path("metrics")});
  Words words = TrainWords("data.jsonl", "resumed", resumable);
  words.insert(words.begin(), {"--log-level", "debug"});
  {
    BackgroundTandem killed(words, folder_.path());
    killed.WaitForLine("checkpoint after step 20");
    killed.Kill();
  }
  EXPECT_EQ(AdapterBytes("resumed"), "");
  const nlohmann::json resumed = Train("data.jsonl", "resumed", resumable);
  EXPECT_GE(resumed["resumed_from_step"], 20);
  EXPECT_LT(resumed["resumed_from_step"], 120);
  EXPECT_EQ(AdapterBytes("resumed"), AdapterBytes("whole"));
  for (const char* name :
       {"steps", "tokens", "mean_loss", "examples", "epoch", "validation"}) {
    EXPECT_EQ(resumed[name], whole[name]) << name;
  }
  // Every step has one row, whatever the killed process wrote.
  std::istringstream csv(Contents(folder_ / "metrics" / "metrics.csv"));
  std::string line;
  std::getline(csv, line);
  EXPECT_THAT(line, HasSubstr("step,loss,"));
  for (int step = 1; step <= 120; ++step) {
    ASSERT_TRUE(std::getline(csv, line));
    EXPECT_EQ(std::stoi(line), step);
  }
  EXPECT_FALSE(std::getline(csv, line));

  const auto error_with = [&](const Words& more) {
    Words other = resumable;
    other.insert(other.end(), more.begin(), more.end());
    const CommandResult result =
        RunTandem(TrainWords("data.jsonl", "other", other));
    EXPECT_EQ(result.code, 1);
    return result.err;
  };
  EXPECT_THAT(error_with({"--seed", "2"}),
              HasSubstr("--seed = 1, now it is 2"));
  EXPECT_THAT(error_with({"--rank-pattern", "q_proj=4"}),
              HasSubstr("--rank-pattern = , now it is q_proj=4"));
  const auto flag =
      std::find(resumable.begin(), resumable.end(), "--validation");
  resumable.erase(flag, flag + 2);
  EXPECT_THAT(error_with({}), HasSubstr("now it is not set"));
}

TEST_F(TrainTest, WhatCannotWorkIsSaidBeforeTheFirstStep) {
  std::ofstream(path("file")) << "in the way";
  const auto error_with = [&](const std::string& flag,
                              const std::string& value) {
    Words words = TrainWords("data.jsonl", "out", {});
    std::erase(words, "--json");
    const auto at = std::find(words.begin(), words.end(), flag);
    words.erase(at, at == words.end() ? at : at + 2);
    words.insert(words.end(), {flag, value});
    const CommandResult result = RunTandem(words);
    EXPECT_NE(result.code, 0);
    EXPECT_EQ(AdapterBytes("out"), "");
    EXPECT_THAT(result.err, Not(HasSubstr("Training"))) << flag;
    return result.err;
  };
  EXPECT_THAT(
      error_with("--max-sequence-tokens", "100000"),
      HasSubstr("--max-sequence-tokens is 100000, the model's context"));
  EXPECT_THAT(error_with("--out", path("file/adapter")),
              HasSubstr("cannot make " + path("file/adapter")));
  EXPECT_THAT(error_with("--data", folder_.path()),
              HasSubstr("Is a directory"));
  for (const char* flag : {"--learning-rate", "--max-grad-norm", "--dropout",
                           "--alpha", "--weight-decay"}) {
    EXPECT_THAT(error_with(flag, "nan"), HasSubstr("'nan' is not a NUMBER"))
        << flag;
  }
}

TEST_F(TrainTest, MemoryDoesNotGrowWithTheFile) {
  WriteTexts("small.jsonl", 20'000, 100);
  WriteTexts("large.jsonl", 600'000, 100);
  const auto peak_of = [&](const std::string& data) -> int64_t {
    // With a checkpoint, which is bound to all bytes of the file.
    return Train(
        data, "out",
        {"--steps", "4", "--shuffle-window-mib", "1", "--checkpoint-dir",
         path(data + ".checkpoint")})["peak_rss_bytes"];
  };
  const int64_t small = peak_of("small.jsonl");
  const int64_t large = peak_of("large.jsonl");
  EXPECT_GT(std::filesystem::file_size(folder_ / "large.jsonl"), 60u << 20);
  EXPECT_LT(large - small, 8 << 20);
}

TEST_F(TrainTest, MalformedLinesFailOrAreSkipped) {
  std::ofstream(path("bad.jsonl"))
      << "{\"text\": \"one\"}\n{\"text\"}\n{\"text\": \"two\"}\n";
  const CommandResult failed =
      RunTandem(TrainWords("bad.jsonl", "out", {"--steps", "3"}));
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.err, HasSubstr("bad.jsonl:2: not a JSON object"));
  const nlohmann::json skipped =
      Train("bad.jsonl", "out", {"--steps", "3", "--on-malformed", "skip"});
  EXPECT_EQ(skipped["malformed_lines"], 1);
}

TEST_F(TrainTest, ProfileNamesOperationsAndProducts) {
  const nlohmann::json trained =
      Train("data.jsonl", "out", {"--steps", "2", "--profile"});
  const nlohmann::json& profile = trained["profile"];
  EXPECT_GT(profile["peak_gflops"]["Float"], 0);
  for (const auto& gemm : profile["gemms"]) {
    EXPECT_TRUE(profile["peak_gflops"].contains(gemm["dtype"])) << gemm;
  }
  EXPECT_GT(profile["gemms"].size(), 5u);
  EXPECT_GT(profile["operations"].size(), 10u);
  double seconds = profile["outside_seconds"];
  for (const auto& operation : profile["operations"]) {
    seconds += operation["seconds"].get<double>();
  }
  EXPECT_NEAR(seconds, profile["seconds"].get<double>(), 1e-6);
}

TEST_F(TrainTest, TextOutputSaysWhatWasTrainedOn) {
  Words words = TrainWords("data.jsonl", "out",
                           {"--steps", "2", "--batch-tokens", "100"});
  std::erase(words, "--json");
  const CommandResult result = RunTandem(words);
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("Training 1/2 steps"), HasSubstr("2/2 steps"),
                    HasSubstr("loss "), HasSubstr(" tokens/s, padding 0% (")));
  EXPECT_THAT(result.out, AllOf(HasSubstr("tokens/s; padding 0% ("),
                                HasSubstr("% full; 0.0% of tokens cut off; 0 "
                                          "malformed lines")));
}

}  // namespace
}  // namespace tandem::cli
