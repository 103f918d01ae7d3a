#include "client/local_data.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "common/files.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;

Example Pair(const std::string& prompt, const std::string& completion) {
  return {{{"user", prompt}, {"assistant", completion}}, ""};
}

class LocalDataTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    EXPECT_THAT(WriteFileAtomically(folder_ / name, text), IsOk());
    return (folder_ / name).string();
  }
  TempFolder folder_;
};

TEST_F(LocalDataTest, ReadsBothParts) {
  proto::ClientDataConfig config;
  config.set_train(Write("t.jsonl",
                         "{\"prompt\": \"p\", \"completion\": \"c\"}\n"
                         "{\"text\": \"x\"}\n"));
  config.set_evaluation(
      Write("e.jsonl", "{\"text\": \"y\"}\n{\"text\": \"z\"}\n"));
  config.set_name("jargon");
  config.set_max_evaluation_examples(1);
  TANDEM_ASSERT_OK_AND_ASSIGN(const LocalData data, ReadLocalData(config));
  EXPECT_EQ(data.name, "jargon");
  ASSERT_EQ(data.train.size(), 2u);
  EXPECT_EQ(data.train[1].text, "x");
  EXPECT_EQ(data.evaluation.size(), 1u);
}

TEST_F(LocalDataTest, AnEmptyOrMalformedFileIsAnErrorThatNamesIt) {
  proto::ClientDataConfig config;
  config.set_train(Write("empty.jsonl", ""));
  EXPECT_THAT(ReadLocalData(config),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("empty.jsonl")));
  config.set_train(Write("broken.jsonl", "{\"text\": \"x\"}\n{\"text\": \n"));
  EXPECT_THAT(ReadLocalData(config), StatusIs(StatusCode::kInvalidArgument,
                                              HasSubstr("broken.jsonl:2")));
  config.set_train((folder_ / "missing.jsonl").string());
  EXPECT_THAT(ReadLocalData(config),
              StatusIs(StatusCode::kNotFound, HasSubstr("missing.jsonl")));
  EXPECT_THAT(ReadLocalData(proto::ClientDataConfig()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("both unset")));
}

TEST(PartOfLocalData, PartsCoverAllAndNeverOverlap) {
  LocalData data;
  for (int i = 0; i < 7; ++i)
    data.train.push_back(Pair("p", std::to_string(i)));
  data.evaluation.push_back(Pair("p", "held out"));
  std::multiset<std::string> seen;
  for (int i = 0; i < 3; ++i) {
    TANDEM_ASSERT_OK_AND_ASSIGN(const LocalData part,
                                PartOfLocalData(data, i, 3));
    EXPECT_EQ(part.evaluation.size(), 1u);
    for (const Example& example : part.train) {
      seen.insert(example.messages[1].content);
    }
  }
  EXPECT_EQ(seen,
            (std::multiset<std::string>{"0", "1", "2", "3", "4", "5", "6"}));
  EXPECT_THAT(PartOfLocalData(data, 0, 8),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("7 training")));
}

class TokenizeExamplesTest : public ::testing::Test {
 protected:
  Tokenizer tokenizer_ = *Tokenizer::Create(testing::TinyTokenizerData());
};

TEST_F(TokenizeExamplesTest, LongTextLosesItsTail) {
  Example text;
  text.text = std::string(500, 'z');
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto tokenized,
                              TokenizeExamples(tokenizer_, {text}, 64, "data"));
  ASSERT_EQ(tokenized.size(), 1u);
  EXPECT_EQ(tokenized[0].tokens.size(), 64u);
  EXPECT_EQ(tokenized[0].is_target.size(), 64u);
}

TEST_F(TokenizeExamplesTest, DropsExamplesWithNothingToLearn) {
  // A prompt longer than the limit leaves no room for its completion.
  const Example hopeless = Pair(std::string(900, 'z'), "lost");
  Example text;
  text.text = "learn this";
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const auto tokenized,
      TokenizeExamples(tokenizer_, {hopeless, text}, 64, "data"));
  EXPECT_EQ(tokenized.size(), 1u);
  EXPECT_THAT(TokenizeExamples(tokenizer_, {hopeless}, 64, "private data"),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("private data: none of 1 examples")));
}

}  // namespace
}  // namespace tandem
