#include "model/batch_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "model/aten.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/gzip.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::MaxDifference;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::tandem::testing::WriteGzip;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BatchStreamTest : public ::testing::Test {
 protected:
  // Texts of ragged lengths.
  void WriteTexts(int count) {
    std::ofstream out(path_);
    for (int i = 0; i < count; ++i) {
      out << R"({"text": "the )" << std::string(1 + i * 7 % 40, 'a' + i % 26)
          << "\"}\n";
    }
  }
  StatusOr<ExampleStream> Open(const ExampleStreamOptions& options = {}) {
    return ExampleStream::Open(path_, tokenizer_, options);
  }
  BatchStream Batches(const BatchOptions& options) {
    return BatchStream(Open().value(), options);
  }

  const TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "data.jsonl";
  const Tokenizer tokenizer_ = *Tokenizer::Create(testing::TinyTokenizerData());
};

TEST_F(BatchStreamTest, MalformedLinesFailByNumber) {
  std::ofstream(path_) << "{\"text\": \"a b\"}\n\n{\"text\": 3}\n";
  auto stream = Open();
  ASSERT_THAT(stream, IsOk());
  StatusOr<TokenizedExample> example = stream->Next();
  if (example.ok()) example = stream->Next();
  EXPECT_THAT(example, StatusIs(StatusCode::kInvalidArgument,
                                AllOf(HasSubstr(path_.string() + ":3:"),
                                      HasSubstr("'text' is number"))));
}

TEST_F(BatchStreamTest, MalformedLinesAreSkippedAndCountedOnce) {
  std::ofstream(path_) << "{\"text\": \"a b\"}\nnonsense\n{\"text\": 3}\n"
                          "{\"text\": \"\"}\n{\"text\": \"c d e\"}\n";
  auto stream = Open({.on_malformed = OnMalformed::kSkip});
  ASSERT_THAT(stream, IsOk());
  for (int i = 0; i < 6; ++i) ASSERT_THAT(stream->Next(), IsOk());
  const ExampleCounts counts = stream->state().counts;
  EXPECT_EQ(stream->state().position.epoch, 2);
  EXPECT_EQ(counts.examples, 6);
  EXPECT_EQ(counts.malformed, 2);
  EXPECT_EQ(counts.without_target, 1);
  EXPECT_EQ(counts.tokens, 3 * (4 + 6));
}

TEST_F(BatchStreamTest, AFileWithNothingToLearnIsRefused) {
  std::ofstream(path_) << "nonsense\n{\"text\": \"\"}\n";
  auto stream = Open({.on_malformed = OnMalformed::kSkip});
  ASSERT_THAT(stream, IsOk());
  EXPECT_THAT(stream->Next(),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("no example with a token to learn")));
  EXPECT_THAT(
      ParseOnMalformed("ignore"),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("known: fail, skip")));
}

TEST_F(BatchStreamTest, CutTokensAreCounted) {
  std::ofstream(path_) << "{\"text\": \"abcdefgh\"}\n";
  auto stream = Open({.max_sequence_tokens = 5});
  ASSERT_THAT(stream, IsOk());
  EXPECT_EQ(stream->Next()->tokens.size(), 5u);
  EXPECT_EQ(stream->state().counts.tokens, 5);
  EXPECT_EQ(stream->state().counts.cut_tokens, 4);  // "fgh", end of text
}

TEST_F(BatchStreamTest, GzipGivesTheSameExamples) {
  WriteTexts(40);
  std::ifstream in(path_);
  WriteGzip(folder_ / "data.jsonl.gz",
            std::string(std::istreambuf_iterator<char>(in), {}));
  const auto plain = ReadExamples(path_);
  const auto packed = ReadExamples(folder_ / "data.jsonl.gz");
  ASSERT_THAT(packed, IsOk());
  ASSERT_EQ(packed->size(), 40u);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ((*packed)[i].text, (*plain)[i].text);
  }
}

TEST_F(BatchStreamTest, ABudgetOfTokensIsFilledAndKept) {
  WriteTexts(60);
  BatchStream batches = Batches({.tokens = 100});
  int64_t tokens = 0;
  for (int i = 0; i < 12; ++i) {
    const auto batch = batches.Next();
    ASSERT_THAT(batch, IsOk());
    EXPECT_LE(batch->tokens.size(0), 100);
    EXPECT_GT(batch->tokens.size(0), 50);  // no example has more than 50
    tokens += batch->tokens.size(0);
  }
  const PackingCounts packing = batches.state().packing;
  EXPECT_EQ(packing.batches, 12);
  EXPECT_EQ(packing.tokens, tokens);
  EXPECT_DOUBLE_EQ(packing.Fill(100), static_cast<double>(tokens) / 1200);
  EXPECT_GT(packing.SavedPadding(), 0.1);
}

TEST_F(BatchStreamTest, AnExampleOverTheBudgetIsABatch) {
  WriteTexts(3);
  BatchStream batches = Batches({.tokens = 2});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(batches.Next()->document_offsets.size(), 2u);
  }
}

TEST_F(BatchStreamTest, GoesOnFromAState) {
  WriteTexts(50);
  for (const BatchOptions& options :
       {BatchOptions{.examples = 3}, BatchOptions{.tokens = 77}}) {
    BatchStream whole = Batches(options);
    for (int before = 0; before < 30; ++before) {
      BatchStream resumed = Batches(options);
      ASSERT_THAT(resumed.Restore(whole.state()), IsOk());
      const auto expected = whole.Next(), next = resumed.Next();
      ASSERT_THAT(next, IsOk());
      ASSERT_TRUE(next->tokens.equal(expected->tokens)) << before;
      EXPECT_EQ(resumed.state().packing.tokens, whole.state().packing.tokens);
      EXPECT_EQ(resumed.state().examples.counts.examples,
                whole.state().examples.counts.examples);
    }
  }
}

// Ragged micro-batches, whose means would weigh tokens unevenly.
TEST_F(BatchStreamTest, AccumulatedGradientIsThatOfOneBigBatch) {
  const Checkpoint checkpoint = testing::TinyCheckpoint();
  const Decoder model = Decoder::Create(checkpoint, at::kFloat).value();
  const Adapter adapter =
      CreateAdapter(checkpoint.config, {.rank = 4, .alpha = 8}, 1).value();
  std::vector<TokenizedExample> examples(6);
  for (size_t i = 0; i < examples.size(); ++i) {
    examples[i].tokens.resize(3 + 6 * i);
    std::iota(examples[i].tokens.begin(), examples[i].tokens.end(), 40 + i);
    examples[i].is_target.assign(examples[i].tokens.size(), i != 3);
  }
  std::vector<const TokenizedExample*> all;
  std::vector<PackedBatch> micro;
  for (size_t i = 0; i < examples.size(); ++i) all.push_back(&examples[i]);
  micro.push_back(PackExamples({all[0]}));
  micro.push_back(PackExamples({all[3]}));  // without a target
  micro.push_back(PackExamples({all[1], all[5]}));
  micro.push_back(PackExamples({all[2], all[4]}));
  const AdapterGradient parts =
      ComputeAdapterGradient(model, adapter, AccumulatedTerms(micro));
  const AdapterGradient whole = ComputeAdapterGradient(
      model, adapter, AccumulatedTerms({PackExamples(all)}));
  EXPECT_NEAR(parts.loss, whole.loss, 1e-6 * whole.loss);
  EXPECT_EQ(parts.target_tokens, whole.target_tokens);
  for (const auto& [name, gradient] : whole.tensors) {
    EXPECT_LE(MaxDifference(parts.tensors.at(name), gradient),
              1e-5 * gradient.abs().max().item<double>() + 1e-9)
        << name;
  }
}

}  // namespace
}  // namespace tandem
