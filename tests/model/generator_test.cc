#include "model/generator.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "common/random.h"
#include "model/aten.h"
#include "model/evaluation.h"
#include "model/text_generator.h"
#include "tests/testing/plain_decoder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::ElementsAreArray;

const std::vector<int32_t> kPrompt = {5, 17, 200, 42};

struct TinyModel {
  Checkpoint checkpoint = testing::TinyCheckpoint();
  Decoder model = Decoder::Create(checkpoint, at::kFloat).value();
};

// The plain decoder over the whole text, once per token.
std::vector<int32_t> PlainGreedy(const Checkpoint& checkpoint,
                                 std::vector<int32_t> ids, int count) {
  const size_t prompt = ids.size();
  for (int i = 0; i < count; ++i) {
    const at::Tensor tokens = at::tensor(ids).to(at::kLong);
    const at::Tensor logits =
        testing::PlainDecoder(checkpoint, nullptr).Logits(tokens);
    ids.push_back(logits[-1].argmax().item<int32_t>());
  }
  return {ids.begin() + prompt, ids.end()};
}

using Ids = std::vector<int32_t>;

GenerationOptions UpTo(int64_t tokens) { return {tokens, {}, {}, {}}; }

Ids GenerateOne(const Decoder& model, const Ids& prompt,
                const GenerationOptions& options) {
  return Generate(model, nullptr, {prompt}, options)[0];
}

TEST(Generate, GreedyIsTheArgmaxOfTheWholeText) {
  const TinyModel tiny;
  Ids seen;
  GenerationOptions options = UpTo(12);
  options.on_token = [&](size_t sequence, int32_t id) {
    EXPECT_EQ(sequence, 0);
    seen.push_back(id);
    return true;
  };
  const Ids ids = GenerateOne(tiny.model, kPrompt, options);
  EXPECT_THAT(ids, ElementsAreArray(PlainGreedy(tiny.checkpoint, kPrompt, 12)));
  EXPECT_EQ(seen, ids);
}

TEST(Generate, EndsBeforeTheIdThatEnds) {
  const TinyModel tiny;
  const Ids all = GenerateOne(tiny.model, kPrompt, UpTo(12));
  const int32_t end = all[5];
  const size_t first = std::find(all.begin(), all.end(), end) - all.begin();
  GenerationOptions options = UpTo(12);
  options.ends = [&](int32_t id) { return id == end; };
  EXPECT_THAT(GenerateOne(tiny.model, kPrompt, options),
              ElementsAreArray(all.begin(), all.begin() + first));
  options.ends = [](int32_t) { return true; };
  EXPECT_TRUE(GenerateOne(tiny.model, kPrompt, options).empty());
}

TEST(Generate, EndsAfterTheTokenThatWasRefused) {
  const TinyModel tiny;
  const Ids all = GenerateOne(tiny.model, kPrompt, UpTo(12));
  int left = 4;
  GenerationOptions options = UpTo(12);
  options.on_token = [&](size_t, int32_t) { return --left > 0; };
  EXPECT_THAT(GenerateOne(tiny.model, kPrompt, options),
              ElementsAreArray(all.begin(), all.begin() + 4));
}

TEST(Generate, EndsWhereTheContextIsFull) {
  TinyModel tiny;
  tiny.checkpoint.config.context_length = 6;
  const Decoder model = Decoder::Create(tiny.checkpoint, at::kFloat).value();
  // Tokens 5 and 6 are read back in; the one after 6 is still predicted.
  EXPECT_EQ(GenerateOne(model, kPrompt, UpTo(12)).size(), 3);
  EXPECT_EQ(GenerateOne(model, kPrompt, UpTo(0)).size(), 0);
  EXPECT_EQ(GenerateOne(model, kPrompt, UpTo(1)).size(), 1);
  const Ids longer(7, 1);
  EXPECT_THROW(GenerateOne(model, longer, UpTo(1)), std::invalid_argument);
  EXPECT_THROW(GenerateOne(model, {}, UpTo(1)), std::invalid_argument);
}

TEST(Generate, SamplingRepeatsForASeed) {
  const TinyModel tiny;
  GenerationOptions one{
      20, {.temperature = 1, .top_p = 0.9, .seed = 1}, {}, {}};
  GenerationOptions two = one;
  two.sampling.seed = 2;
  const Ids a = GenerateOne(tiny.model, kPrompt, one);
  EXPECT_EQ(a, GenerateOne(tiny.model, kPrompt, one));
  EXPECT_NE(a, GenerateOne(tiny.model, kPrompt, two));
}

// Eleven ragged prompts: more than take a step together.
TEST(Generate, EachSequenceIsWhatItIsAlone) {
  const TinyModel tiny;
  std::vector<Ids> prompts;
  SeededRandom random(3);
  for (int i = 0; i < 11; ++i) {
    prompts.emplace_back();
    for (int t = 0; t <= 2 * i; ++t)
      prompts[i].push_back(static_cast<int32_t>(random.Below(261)));
  }
  // Sequence s ends after s + 3 tokens.
  std::vector<int> left;
  GenerationOptions options = UpTo(30);
  options.on_token = [&](size_t s, int32_t) { return --left[s] > 0; };
  for (int i = 0; i < 11; ++i) left.push_back(i + 3);
  const auto together = Generate(tiny.model, nullptr, prompts, options);
  ASSERT_EQ(together.size(), 11);
  for (int i = 0; i < 11; ++i)
    EXPECT_EQ(together[i], GenerateOne(tiny.model, prompts[i], UpTo(i + 3)));
}

TEST(Generate, RepetitionPenaltyCountsThePromptToo) {
  const TinyModel tiny;
  GenerationOptions options = UpTo(40);
  options.sampling.repetition_penalty = 100;
  Ids ids = GenerateOne(tiny.model, kPrompt, options);
  ids.insert(ids.end(), kPrompt.begin(), kPrompt.end());
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
}

TEST(GenerateText, EndsBeforeAStopString) {
  const TinyModel tiny;
  const Tokenizer tokenizer =
      Tokenizer::Create(tiny.checkpoint.tokenizer).value();
  TextOptions options;
  options.max_new_tokens = 24;
  // Drawn, since the greedy text of random weights repeats one token.
  options.sampling = {.temperature = 1, .top_k = 200, .seed = 5};
  const auto run = [&] {
    return GenerateText(tiny.model, nullptr, tokenizer, {kPrompt}, options)[0];
  };
  const Reply whole = run();
  ASSERT_GE(whole.text.size(), 8);
  std::string streamed;
  options.on_text = [&](size_t, std::string_view bytes) { streamed += bytes; };
  options.stop_strings = {whole.text.substr(4, 3)};
  const Reply cut = run();
  const size_t stop = whole.text.find(options.stop_strings[0]);
  EXPECT_EQ(cut.text, whole.text.substr(0, stop));
  EXPECT_EQ(streamed, cut.text);
  EXPECT_EQ(cut.end, ReplyEnd::kStopString);
  EXPECT_LT(cut.tokens.size(), whole.tokens.size());
}

TEST(Evaluate, SumsTheTargetsLossesInBothUnits) {
  const TinyModel tiny;
  std::vector<TokenizedExample> examples;
  SeededRandom random(2);
  double expected = 0;
  for (int e = 0; e < 7; ++e) {  // more than one batch of 1024 tokens
    TokenizedExample example;
    for (int i = 0; i < 300; ++i)
      example.tokens.push_back(static_cast<int32_t>(random.Below(261)));
    example.is_target.assign(300, 0);
    example.is_target[10 + e] = example.is_target[299] = 1;
    example.target_bytes = 5;
    const at::Tensor tokens = at::tensor(example.tokens).to(at::kLong);
    const at::Tensor log_p = testing::PlainDecoder(tiny.checkpoint, nullptr)
                                 .Logits(tokens)
                                 .log_softmax(-1);
    for (const int i : {10 + e, 299})
      expected -= log_p[i - 1][example.tokens[i]].item<double>();
    examples.push_back(example);
  }
  std::vector<int64_t> progress;
  const EvaluationResult result =
      Evaluate(tiny.model, nullptr, examples, [&](int64_t done, int64_t total) {
        EXPECT_EQ(total, 7);
        progress.push_back(done);
      });
  EXPECT_NEAR(result.loss_nats, expected, 1e-3);
  EXPECT_EQ(result.target_tokens, 14);
  EXPECT_EQ(result.target_bytes, 35);
  EXPECT_EQ(result.examples, 7);
  EXPECT_THAT(progress, ::testing::ElementsAre(3, 6, 7));
  EXPECT_NEAR(result.Perplexity(), std::exp(expected / 14), 1e-2);
  EXPECT_NEAR(result.BitsPerByte(), expected / 35 / std::log(2), 1e-4);
}

}  // namespace
}  // namespace tandem
