#include "distill/teacher.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

#include "model/aten.h"
#include "model/packed_batch.h"
#include "tests/distill/loss_oracles.h"
#include "tests/distill/random_targets.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kTinyVocabulary;
using testing::RandomExamples;
using testing::StatusIs;
using testing::TempFolder;
using testing::TinyCheckpoint;

std::vector<std::filesystem::path> FilesIn(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    files.push_back(entry.path());
  }
  return files;
}

class LocalTeacherTest : public ::testing::Test {
 protected:
  TempFolder folder_;
  std::filesystem::path cache_ = folder_ / "a";
  LocalTeacher teacher_ = *LocalTeacher::Create(TinyCheckpoint(1), "fp32");
  std::vector<TokenizedExample> examples_ =
      RandomExamples(9, kTinyVocabulary, 1);
};

TEST_F(LocalTeacherTest, TargetsAreTheModelsDistributions) {
  // Enough for several passes and more rows than one chunk of logits.
  examples_ = RandomExamples(120, kTinyVocabulary, 2);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const TeacherTargets all,
      teacher_.Targets(examples_, {.top_k = 7, .temperature = 2}, cache_));
  ASSERT_EQ(all.targets.size(), examples_.size());
  EXPECT_EQ(all.temperature, 2);
  const Decoder model = *Decoder::Create(TinyCheckpoint(1), at::kFloat);
  for (size_t i = 0; i < examples_.size(); i += 17) {
    // Each example alone, its logits all at once.
    const PackedBatch alone = PackExamples({&examples_[i]});
    const at::Tensor logits = model.Logits(
        model.Forward(alone.tokens, alone.document_offsets, nullptr)
            .index_select(0, alone.target_rows));
    const TopKTargets& rows = all.targets[i];
    ASSERT_EQ(rows.indices.sizes(),
              at::IntArrayRef({testing::TargetCount(examples_[i]), 7}));
    for (int64_t row = 0; row < rows.indices.size(0); ++row) {
      const testing::Row p = testing::Softmax(logits[row], 2);
      double rest = 1;
      for (int64_t j = 0; j < 7; ++j) {
        const double expected = p[rows.indices[row][j].item<int64_t>()];
        EXPECT_NEAR(
            std::exp(rows.log_probabilities[row][j].item<double>()) / expected,
            1, 1e-4);
        rest -= expected;
      }
      EXPECT_NEAR(rows.left_over[row].item<double>(), rest, 1e-5);
    }
  }
}

TEST_F(LocalTeacherTest, ShowsProgressWhereItWorksAndOnlyThere) {
  examples_ = RandomExamples(120, kTinyVocabulary, 2);
  std::vector<int64_t> done_after;
  const auto show = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 120);
    done_after.push_back(done);
    return true;
  };
  ASSERT_THAT(teacher_.Targets(examples_, {}, cache_, show), IsOk());
  ASSERT_GT(done_after.size(), 1u);
  EXPECT_TRUE(std::is_sorted(done_after.begin(), done_after.end()));
  EXPECT_GT(done_after.front(), 0);
  EXPECT_EQ(done_after.back(), 120);
  done_after.clear();
  ASSERT_THAT(teacher_.Targets(examples_, {}, cache_, show), IsOk());
  EXPECT_TRUE(done_after.empty());
}

TEST_F(LocalTeacherTest, StopsAfterAPassAndKeepsNothing) {
  examples_ = RandomExamples(120, kTinyVocabulary, 2);
  int calls = 0;
  EXPECT_THAT(teacher_.Targets(examples_, {}, cache_,
                               [&](int64_t, int64_t) {
                                 ++calls;
                                 return false;
                               }),
              StatusIs(StatusCode::kCancelled, HasSubstr("of 120")));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(FilesIn(cache_).empty());
}

TEST_F(LocalTeacherTest, SecondCallReadsTheFile) {
  ASSERT_THAT(teacher_.Targets(examples_, {.top_k = 5}, cache_), IsOk());
  ASSERT_EQ(FilesIn(cache_).size(), 1u);
  const auto file = FilesIn(cache_)[0];
  // Other numbers under the same name: only a reader can return them.
  TANDEM_ASSERT_OK_AND_ASSIGN(TeacherTargets changed,
                              ReadTeacherTargets(file, kTinyVocabulary));
  for (TopKTargets& rows : changed.targets) {
    rows.log_probabilities.fill_(std::log(0.1));
    rows.left_over.fill_(0.5);
  }
  ASSERT_THAT(WriteTeacherTargets(changed, file), IsOk());
  const auto written = std::filesystem::last_write_time(file);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const TeacherTargets again,
      teacher_.Targets(examples_, {.top_k = 5}, cache_));
  EXPECT_EQ(again.targets[0].left_over[0].item<float>(), 0.5f);
  EXPECT_EQ(std::filesystem::last_write_time(file), written);
  EXPECT_EQ(FilesIn(cache_).size(), 1u);
}

TEST_F(LocalTeacherTest, FirstAndSecondCallAgree) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets a,
                              teacher_.Targets(examples_, {}, cache_));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets b,
                              teacher_.Targets(examples_, {}, cache_));
  for (size_t i = 0; i < examples_.size(); ++i) {
    EXPECT_EQ(a.examples[i].tokens, b.examples[i].tokens);
    EXPECT_TRUE(at::equal(a.targets[i].indices, b.targets[i].indices));
    EXPECT_TRUE(at::equal(a.targets[i].log_probabilities,
                          b.targets[i].log_probabilities));
    EXPECT_TRUE(at::equal(a.targets[i].left_over, b.targets[i].left_over));
  }
}

TEST_F(LocalTeacherTest, WhateverMattersMakesAnotherFile) {
  auto files_after = [&](const LocalTeacher& teacher,
                         const TargetOptions& options) {
    EXPECT_THAT(teacher.Targets(examples_, options, cache_), IsOk());
    return FilesIn(cache_).size();
  };
  EXPECT_EQ(files_after(teacher_, {.top_k = 5, .temperature = 1}), 1u);
  EXPECT_EQ(files_after(teacher_, {.top_k = 6, .temperature = 1}), 2u);
  EXPECT_EQ(files_after(teacher_, {.top_k = 5, .temperature = 1.0000001}), 3u);
  const LocalTeacher other = *LocalTeacher::Create(TinyCheckpoint(2), "fp32");
  EXPECT_EQ(files_after(other, {.top_k = 5}), 4u);
  const LocalTeacher coarse = *LocalTeacher::Create(TinyCheckpoint(1), "bf16");
  EXPECT_EQ(files_after(coarse, {.top_k = 5}), 5u);
  const std::vector<TokenizedExample> before = examples_;
  examples_[3].tokens.back() ^= 1;
  EXPECT_EQ(files_after(teacher_, {.top_k = 5}), 6u);
  examples_ = before;
  examples_[3].is_target[1] ^= 1;
  EXPECT_EQ(files_after(teacher_, {.top_k = 5}), 7u);
  examples_ = before;
  EXPECT_EQ(files_after(teacher_, {.top_k = 5}), 7u);
}

TEST_F(LocalTeacherTest, DamagedCacheIsComputedAnew) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets good,
                              teacher_.Targets(examples_, {}, cache_));
  const auto file = FilesIn(cache_)[0];
  std::ofstream(file, std::ios::trunc) << "cut short";
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets again,
                              teacher_.Targets(examples_, {}, cache_));
  EXPECT_TRUE(at::equal(again.targets[0].left_over, good.targets[0].left_over));
  EXPECT_THAT(ReadTeacherTargets(file, kTinyVocabulary), IsOk());
}

TEST_F(LocalTeacherTest, RefusesBadExamplesAndOptions) {
  auto error = [&](const TargetOptions& options) {
    return teacher_.Targets(examples_, options, cache_).status();
  };
  EXPECT_THAT(error({.top_k = 0}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("top_k is 0")));
  EXPECT_THAT(
      error({.temperature = 0}),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("temperature is 0")));
  examples_[2].tokens[1] = kTinyVocabulary;
  EXPECT_THAT(error({}), StatusIs(StatusCode::kInvalidArgument,
                                  HasSubstr("example 2 has token 261")));
  examples_ = RandomExamples(3, kTinyVocabulary, 3);
  examples_[1].tokens.resize(513, 1);
  examples_[1].is_target.resize(513, 1);
  EXPECT_THAT(error({}),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("example 1 has 513 tokens, the teacher's "
                                 "context length is 512")));
  examples_ = RandomExamples(3, kTinyVocabulary, 3);
  examples_[1].is_target.assign(examples_[1].tokens.size(), 0);
  EXPECT_THAT(error({}), StatusIs(StatusCode::kInvalidArgument,
                                  HasSubstr("example 1 must have a target")));
  examples_.clear();
  EXPECT_THAT(error({}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no examples")));
}

TEST_F(LocalTeacherTest, ReportsATeacherThatIsNotFinite) {
  Checkpoint broken = TinyCheckpoint(1);
  broken.tensors["model.norm.weight"] =
      at::full({32}, std::numeric_limits<float>::quiet_NaN());
  const LocalTeacher teacher = *LocalTeacher::Create(broken, "fp32");
  EXPECT_THAT(teacher.Targets(examples_, {}, cache_),
              StatusIs(StatusCode::kInternal, HasSubstr("not finite")));
}

TEST_F(LocalTeacherTest, ACacheThatCannotBeMadeIsNamedBeforeTheWork) {
  std::ofstream(cache_) << "a file, not a folder";
  bool worked = false;
  EXPECT_THAT(teacher_.Targets(examples_, {}, cache_ / "targets",
                               [&](int64_t, int64_t) { return worked = true; }),
              StatusIs(StatusCode::kNotFound,
                       AllOf(HasSubstr((cache_ / "targets").string()),
                             HasSubstr("Not a directory"))));
  EXPECT_FALSE(worked);
}

TEST_F(LocalTeacherTest, ChecksTheVocabulary) {
  TokenizerData data = testing::TinyTokenizerData();
  EXPECT_THAT(teacher_.CheckSameVocabulary(*Tokenizer::Create(data)), IsOk());
  data.tokens[0] = "<|start|>";
  EXPECT_THAT(
      teacher_.CheckSameVocabulary(*Tokenizer::Create(data)),
      StatusIs(StatusCode::kFailedPrecondition,
               HasSubstr("token 0 is '<|endoftext|>' for the teacher and "
                         "'<|start|>' for the student")));
  data = testing::TinyTokenizerData();
  data.tokens.push_back("<|more|>");
  data.types.push_back(TokenType::kControl);
  EXPECT_THAT(teacher_.CheckSameVocabulary(*Tokenizer::Create(data)),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("261 tokens, the student's 262")));
}

TEST(LocalTeacherLoad, NamesWhatIsMissing) {
  EXPECT_THAT(LocalTeacher::Load("/nowhere/model.gguf", "fp32"),
              StatusIs(StatusCode::kNotFound, HasSubstr("model.gguf")));
  EXPECT_THAT(LocalTeacher::Create(TinyCheckpoint(1), "fp8"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("fp8")));
}

}  // namespace
}  // namespace tandem
