// The subcommands at work, as processes, on a tiny random model.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/adapter.h"
#include "model/aten.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "tests/testing/run_tandem.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::CommandResult;
using ::tandem::testing::IsOk;
using ::tandem::testing::RunTandem;
using ::tandem::testing::TempFolder;
using ::tandem::testing::TinyCheckpoint;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

class ModelCommandsTest : public ::testing::Test {
 protected:
  ModelCommandsTest() : checkpoint_(TinyCheckpoint()) {
    EXPECT_THAT(SaveHuggingFace(checkpoint_, at::kFloat, model()), IsOk());
    std::ofstream lines(data());
    for (int i = 0; i < 8; ++i) {
      lines << R"({"prompt": "Define: )" << i
            << R"(", "completion": "a number"})" << '\n';
    }
  }

  std::string model() const { return folder_ / "model"; }
  std::string data() const { return folder_ / "data.jsonl"; }
  std::string out(const std::string& name) const { return folder_ / name; }

  // Standard output of a command that succeeds.
  std::string Succeed(const Words& arguments) {
    const CommandResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }
  nlohmann::json SucceedWithJson(const Words& arguments) {
    return nlohmann::json::parse(Succeed(arguments), nullptr, false);
  }
  void FailSaying(const Words& arguments, const std::string& message) {
    const CommandResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr(message));
  }

  const TempFolder folder_;
  const Checkpoint checkpoint_;
};

TEST_F(ModelCommandsTest, InfoNamesShapeAndDigest) {
  const nlohmann::json info =
      SucceedWithJson({"model", "info", "--model", model(), "--json"});
  EXPECT_EQ(info["layers"], checkpoint_.config.layers);
  EXPECT_EQ(info["hidden_size"], checkpoint_.config.hidden_size);
  EXPECT_EQ(info["digest"], Digest(checkpoint_));
  EXPECT_THAT(Succeed({"model", "info", "--model", model()}),
              HasSubstr(Digest(checkpoint_)));
}

TEST_F(ModelCommandsTest, PruneKeepsWeightsOfTheLayersThatStay) {
  Succeed({"model", "prune", "--model", model(), "--keep-layers", "2", "--out",
           out("pruned")});
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint pruned,
                              LoadCheckpoint(out("pruned")));
  EXPECT_EQ(Digest(pruned), Digest(checkpoint_));  // 2 of 2: all of them
  FailSaying({"model", "prune", "--model", model(), "--keep-layers", "9",
              "--out", out("never")},
             "9");
}

TEST_F(ModelCommandsTest, TokenizeReadsTextFilesAndLines) {
  // The tiny vocabulary: 3 control tokens, 256 bytes, "th", "the".
  const nlohmann::json ids = SucceedWithJson(
      {"model", "tokenize", "--model", model(), "--text", "the", "--json"});
  EXPECT_EQ(ids, nlohmann::json({260}));
  std::ofstream(out("text")) << "the<|im_end|>";
  const Words file = {"model", "tokenize", "--model",
                      model(), "--file",   out("text")};
  EXPECT_GT(SucceedWithJson(file).size(), 2u);
  Words special = file;
  special.push_back("--special");
  EXPECT_EQ(SucceedWithJson(special), nlohmann::json({260, 2}));
  std::ofstream(out("lines")) << "\"the\"\n\"\"\n";
  EXPECT_EQ(Succeed({"model", "tokenize", "--model", model(), "--json-lines",
                     out("lines")}),
            "[260]\n[]\n");
}

TEST_F(ModelCommandsTest, TokenizeNamesTheLineThatIsNoString) {
  std::ofstream(out("lines")) << "\"a\"\n7\n";
  FailSaying(
      {"model", "tokenize", "--model", model(), "--json-lines", out("lines")},
      out("lines") + ":2: expected a JSON string");
}

TEST_F(ModelCommandsTest, LogitsAreFloat32TokensByVocabulary) {
  Succeed({"model", "logits", "--model", model(), "--tokens", "1,5,7", "--out",
           out("l.safetensors")});
  TANDEM_ASSERT_OK_AND_ASSIGN(const Safetensors file,
                              ReadSafetensors(out("l.safetensors")));
  const at::Tensor& logits = file.tensors.at("logits");
  EXPECT_EQ(logits.scalar_type(), at::kFloat);
  EXPECT_EQ(logits.sizes().vec(),
            (std::vector<int64_t>{3, checkpoint_.config.vocabulary_size}));
}

TEST_F(ModelCommandsTest, LogitsRefuseIdsOutsideTheVocabulary) {
  FailSaying({"model", "logits", "--model", model(), "--tokens", "1,261",
              "--out", out("never")},
             "id 261 is outside the vocabulary, 0 to 260");
}

TEST_F(ModelCommandsTest, EvalPrintsBitsPerByteAndPerplexity) {
  const nlohmann::json json =
      SucceedWithJson({"eval", "--model", model(), "--data", data()});
  const double nats = json["loss_nats"];
  EXPECT_EQ(json["examples"], 8);
  EXPECT_EQ(json["bytes"], 8 * std::string("a number").size());
  EXPECT_NEAR(json["bits_per_byte"],
              nats / std::log(2.0) / json["bytes"].get<double>(), 1e-9);
  EXPECT_NEAR(json["perplexity"], std::exp(nats / json["tokens"].get<double>()),
              1e-6);
}

TEST_F(ModelCommandsTest, EmptyDataFails) {
  std::ofstream(out("empty.jsonl")).flush();
  FailSaying({"eval", "--model", model(), "--data", out("empty.jsonl")},
             out("empty.jsonl"));
}

TEST_F(ModelCommandsTest, TrainedAdapterLowersTheLoss) {
  const Words eval = {"eval", "--model", model(), "--data", data()};
  const double before = SucceedWithJson(eval)["bits_per_byte"];
  const nlohmann::json trained =
      SucceedWithJson({"train", "--model", model(), "--data", data(), "--steps",
                       "20", "--learning-rate", "0.02", "--rank", "4", "--out",
                       out("adapter"), "--json"});
  EXPECT_EQ(trained["steps"], 20);
  Words with_adapter = eval;
  with_adapter.insert(with_adapter.end(), {"--adapter", out("adapter")});
  EXPECT_LT(SucceedWithJson(with_adapter)["bits_per_byte"], 0.9 * before);
  TANDEM_ASSERT_OK_AND_ASSIGN(const Adapter adapter,
                              LoadAdapter(out("adapter"), checkpoint_.config));
  EXPECT_EQ(adapter.options.rank, 4);
}

TEST_F(ModelCommandsTest, GenerateStopsAtMaxTokensAndRepeatsItself) {
  const Words sampled = {"generate", "--model",       model(),  "--prompt",
                         "hi",       "--raw",         "--json", "--max-tokens",
                         "5",        "--temperature", "1",      "--seed",
                         "3"};
  const nlohmann::json first = SucceedWithJson(sampled);
  EXPECT_LE(first["tokens"].size(), 5u);
  EXPECT_EQ(first["prompt_tokens"].size(), 2u);
  EXPECT_EQ(SucceedWithJson(sampled), first);
}

TEST_F(ModelCommandsTest, GenerateAppliesTheChatTemplate) {
  const nlohmann::json reply =
      SucceedWithJson({"generate", "--model", model(), "--prompt", "hi",
                       "--json", "--max-tokens", "1"});
  const std::vector<int32_t> ids = reply["prompt_tokens"];
  // ... <|im_start|>assistant\n, and nothing of a reply.
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 3);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 2);
}

TEST_F(ModelCommandsTest, DistilWritesAnAdapter) {
  Succeed({"distill", "--teacher", model(), "--student", model(), "--data",
           data(), "--steps", "2", "--rank", "2", "--top-k", "8",
           "--target-cache", out("targets"), "--out", out("distilled")});
  EXPECT_THAT(LoadAdapter(out("distilled"), checkpoint_.config), IsOk());
}

}  // namespace
}  // namespace tandem::cli
