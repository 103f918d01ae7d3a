#include "model/choice_task.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TempFolder;

std::string Line(int64_t id, int64_t index, const std::string& continuation,
                 const std::string& label = "1",
                 const std::string& type = "loglikelihood") {
  return fmt::format(
      R"({{"request_type": "{}", "doc_id": {}, "idx": {}, "task_name": "t", )"
      R"("label": {}, "request": {{"context": "Q", "continuation": "{}"}}}})"
      "\n",
      type, id, index, label, continuation);
}

class ChoiceTaskTest : public ::testing::Test {
 protected:
  StatusOr<ChoiceTask> Read(const std::string& text, int64_t max_items = 0) {
    const std::string path = folder_ / "requests.jsonl.gz";
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), text.size());
    gzclose(file);
    return ReadChoiceTask(path, max_items);
  }

  const TempFolder folder_;
};

TEST_F(ChoiceTaskTest, GroupsRequestsByItemAndDropsThoseWithoutQuestion) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const ChoiceTask task,
      Read(Line(0, 0, " a") + Line(0, 1, " b") + "\n" + Line(7, 0, " c") +
           Line(7, 1, " d") + Line(7, 2, " e") + Line(1000000, 0, " a")));
  EXPECT_EQ(task.name, "t");
  ASSERT_EQ(task.items.size(), 2u);
  EXPECT_EQ(task.items[1].id, 7);
  EXPECT_EQ(task.items[1].gold, 1);
  ASSERT_EQ(task.items[1].choices.size(), 3u);
  EXPECT_EQ(task.items[1].choices[2].continuation, " e");
  EXPECT_EQ(task.items[1].choices[2].context, "Q");
}

TEST_F(ChoiceTaskTest, TakesTheFirstItems) {
  const std::string one = Line(0, 0, " a") + Line(0, 1, " b");
  const std::string two = Line(1, 0, " a") + Line(1, 1, " b");
  TANDEM_ASSERT_OK_AND_ASSIGN(const ChoiceTask task, Read(one + two, 1));
  ASSERT_EQ(task.items.size(), 1u);
  EXPECT_EQ(task.items[0].choices.size(), 2u);
}

TEST_F(ChoiceTaskTest, RefusesWhatIsNoMultipleChoice) {
  const auto refuses = [&](const std::string& text, const std::string& reason) {
    EXPECT_THAT(Read(text).status(),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(reason)));
  };
  refuses(Line(0, 0, " a", "1", "generate_until"),
          "requests.jsonl.gz:1: not a multiple-choice task: request_type is "
          "'generate_until'");
  refuses(Line(0, 0, " a", R"(["x"])"),
          "not a multiple-choice task: label is an array");
  refuses(Line(0, 0, " a", "0"), "item 0 has 1 choice");
  refuses(Line(0, 0, " a", "0") + Line(1, 0, " a"), "item 0 has 1 choice");
}

TEST_F(ChoiceTaskTest, RefusesDamagedFiles) {
  const auto refuses = [&](const std::string& text, const std::string& reason) {
    EXPECT_THAT(Read(text).status(),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(reason)));
  };
  refuses("", "holds no requests");
  refuses("[]\n", ":1:");
  refuses(Line(0, 0, " a") + Line(0, 2, " b"), ":2: idx is 2, expected 1");
  refuses(Line(0, 0, " a", "2") + Line(0, 1, " b", "2"),
          "label of item 0 is 2, but it has 2 choices");
  refuses(Line(0, 0, " a") + Line(0, 1, ""),
          "the right choice of item 0 is empty");
  refuses(R"({"request_type": "loglikelihood", "label": 0})", "'request'");
}

class TokenizeChoiceTest : public ::testing::Test {
 protected:
  const Tokenizer tokenizer_ =
      Tokenizer::Create(testing::TinyTokenizerData()).value();
};

TEST_F(TokenizeChoiceTest, TokenisesBothTogetherAndMovesSpacesAcross) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizedChoice moved,
                              TokenizeChoice(tokenizer_, {"the  ", "the"}, 99));
  EXPECT_EQ(moved.first_target, 1);
  EXPECT_EQ(moved.tokens, tokenizer_.Encode("the  the"));
  EXPECT_EQ(moved.tokens.size(), 4u);
}

TEST_F(TokenizeChoiceTest, LeadsAnEmptyContextWithEndOfText) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizedChoice choice,
                              TokenizeChoice(tokenizer_, {"", "the"}, 99));
  EXPECT_THAT(choice.tokens, ElementsAre(0, 260));
  EXPECT_EQ(choice.first_target, 1);
}

TEST_F(TokenizeChoiceTest, KeepsTheLastTokens) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizedChoice choice,
                              TokenizeChoice(tokenizer_, {"abcd", "ef"}, 4));
  EXPECT_EQ(choice.tokens, tokenizer_.Encode("cdef"));
  EXPECT_EQ(choice.first_target, 2);
}

TEST_F(TokenizeChoiceTest, RefusesAnEmptyContinuation) {
  EXPECT_THAT(TokenizeChoice(tokenizer_, {"abc", ""}, 99).status(),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no token")));
}

}  // namespace
}  // namespace tandem
