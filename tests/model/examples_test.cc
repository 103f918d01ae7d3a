#include "model/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/files.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::tandem::testing::TinyTokenizerData;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Tokenizer& TinyTokenizer() {
  static const Tokenizer tokenizer = *Tokenizer::Create(TinyTokenizerData());
  return tokenizer;
}

class ReadExamplesTest : public ::testing::Test {
 protected:
  std::filesystem::path Write(const std::string& text) {
    EXPECT_THAT(WriteFileAtomically(path_, text), IsOk());
    return path_;
  }
  void ExpectRefused(const std::string& text, const std::string& message) {
    EXPECT_THAT(ReadExamples(Write(text)),
                StatusIs(StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(path_.string()), HasSubstr(message))));
  }
  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "data.jsonl";
};

TEST_F(ReadExamplesTest, ReadsAllThreeForms) {
  const auto examples = ReadExamples(Write(
      R"({"text": "plain é \u00e9"}
{"prompt": "P", "completion": "C", "source": 7}

{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]})"
      "\r\n"));
  ASSERT_THAT(examples, IsOk());
  ASSERT_THAT(*examples, SizeIs(3));
  EXPECT_EQ((*examples)[0].text, "plain é é");
  EXPECT_THAT((*examples)[0].messages, IsEmpty());
  ASSERT_THAT((*examples)[1].messages, SizeIs(2));
  EXPECT_EQ((*examples)[1].messages[0].role, "user");
  EXPECT_EQ((*examples)[1].messages[0].content, "P");
  EXPECT_EQ((*examples)[1].messages[1].role, "assistant");
  EXPECT_EQ((*examples)[1].messages[1].content, "C");
  EXPECT_EQ((*examples)[2].messages[0].role, "system");
  EXPECT_EQ((*examples)[2].messages[1].content, "U");
}

TEST_F(ReadExamplesTest, StopsAtTheNumberAskedFor) {
  const std::filesystem::path path =
      Write("{\"text\": \"a\"}\n{\"text\": \"b\"}\nnever read\n");
  EXPECT_THAT(*ReadExamples(path, 2), SizeIs(2));
  EXPECT_THAT(ReadExamples(path, 3), StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(ReadExamplesTest, NamesFileLineAndWhatWasExpected) {
  ExpectRefused("{\"text\": \"a\"}\n\n{\"text\": \"b\"\n", ":3: not a JSON");
  ExpectRefused("[1]",
                ":1: expected {\"text\"}, {\"prompt\", \"completion\"} "
                "or {\"messages\"}, got array");
  ExpectRefused("{\"txet\": \"a\"}", "got 0 of them");
  ExpectRefused(R"({"text": "a", "prompt": "b", "completion": "c"})",
                "got 2 of them");
  ExpectRefused(R"({"prompt": "b"})", ":1: 'completion' is missing");
  ExpectRefused(R"({"text": null})", "'text' is null, expected a string");
  ExpectRefused(R"({"messages": "hi"})", "'messages' is string");
  ExpectRefused(R"({"messages": []})", "'messages' is empty");
  ExpectRefused(R"({"messages": [3]})", "messages[0]: a message is number");
  ExpectRefused(
      R"({"messages": [{"role":"user","content":""},{"role":"tool","content":""}]})",
      "messages[1]: 'role' is 'tool', expected 'system', 'user' or");
  ExpectRefused("{\"text\": \"\xFF\"}", ":1: not a JSON object in UTF-8");
}

TEST_F(ReadExamplesTest, AFileWithoutExamplesIsAnError) {
  ExpectRefused("", "holds no examples");
  ExpectRefused("\n \t\r\n", "holds no examples");
  EXPECT_THAT(ReadExamples(folder_ / "absent.jsonl"),
              StatusIs(StatusCode::kNotFound, HasSubstr("absent.jsonl")));
}

TEST(TokenizeExampleTest, PlainTextEndsWithEndOfText) {
  const TokenizedExample example =
      *TokenizeExample(TinyTokenizer(), {.text = "the é"}, 100);
  EXPECT_EQ(TinyTokenizer().Decode(example.tokens, true), "the é<|endoftext|>");
  EXPECT_THAT(example.is_target, ElementsAre(0, 1, 1, 1, 1));
  EXPECT_EQ(example.target_bytes, 3);  // " é": nothing predicts "the"
}

TEST(TokenizeExampleTest, EmptyTextHasNoTarget) {
  const TokenizedExample example =
      *TokenizeExample(TinyTokenizer(), {.text = ""}, 100);
  EXPECT_THAT(example.tokens, ElementsAre(0));
  EXPECT_THAT(example.is_target, ElementsAre(0));
  EXPECT_EQ(example.target_bytes, 0);
}

TEST(TokenizeExampleTest, LongExamplesLoseTheirTail) {
  const Example chat = {
      .messages = {{"system", ""}, {"assistant", "abcdefgh"}}};
  const TokenizedExample whole = *TokenizeExample(TinyTokenizer(), chat, 1000);
  const int64_t size = static_cast<int64_t>(whole.tokens.size());
  EXPECT_EQ(whole.target_bytes, 8);
  for (int64_t max_tokens = 0; max_tokens <= size + 1; ++max_tokens) {
    const TokenizedExample cut =
        *TokenizeExample(TinyTokenizer(), chat, max_tokens);
    ASSERT_EQ(static_cast<int64_t>(cut.tokens.size()),
              std::min(max_tokens, size));
    ASSERT_EQ(cut.is_target.size(), cut.tokens.size());
    std::vector<int32_t> targets;
    for (size_t i = 0; i < cut.tokens.size(); ++i) {
      EXPECT_EQ(cut.tokens[i], whole.tokens[i]);
      EXPECT_EQ(cut.is_target[i], whole.is_target[i]);
      if (cut.is_target[i]) targets.push_back(cut.tokens[i]);
    }
    EXPECT_EQ(cut.target_bytes,
              static_cast<int64_t>(TinyTokenizer().Decode(targets).size()));
  }
}

TEST_F(ReadExamplesTest, LoadDropsWhatHasNothingToLearn) {
  const std::filesystem::path path = Write(
      R"({"text": ""}
{"messages": [{"role": "user", "content": "no reply"}]}
{"text": "kept"}
)");
  const auto examples = LoadTokenizedExamples(TinyTokenizer(), path, 0, 64);
  ASSERT_THAT(examples, IsOk());
  ASSERT_THAT(*examples, SizeIs(1));
  EXPECT_EQ(TinyTokenizer().Decode((*examples)[0].tokens), "kept");
}

TEST_F(ReadExamplesTest, LoadRefusesAFileWithNothingToLearn) {
  const std::filesystem::path path =
      Write(R"({"prompt": "a", "completion": "b"})");
  EXPECT_THAT(LoadTokenizedExamples(TinyTokenizer(), path, 0, 1000), IsOk());
  EXPECT_THAT(
      LoadTokenizedExamples(TinyTokenizer(), path, 0, 10),
      StatusIs(StatusCode::kInvalidArgument,
               HasSubstr("none of the 1 examples has a token to learn within "
                         "10 tokens")));
}

}  // namespace
}  // namespace tandem
