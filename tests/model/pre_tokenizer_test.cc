#include "model/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Split(const std::string& name,
                               const std::string& text) {
  const auto pre_tokenizer = PreTokenizer::Create(name);
  EXPECT_THAT(pre_tokenizer, IsOk());
  std::vector<std::string> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = pre_tokenizer->PieceEnd(text, at);
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

TEST(PreTokenizerTest, CutsWordsWithTheirLeadingSpace) {
  EXPECT_THAT(
      Split("gpt-2", "Hello, world! It's fine."),
      ElementsAre("Hello", ",", " world", "!", " It", "'s", " fine", "."));
  EXPECT_THAT(Split("gpt-2", "we'll we'LL"),
              ElementsAre("we", "'ll", " we", "'", "LL"));
}

TEST(PreTokenizerTest, LeavesTheLastSpaceToTheWordAfterIt) {
  EXPECT_THAT(Split("gpt-2", "a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(Split("gpt-2", "a \n b\n"), ElementsAre("a", " \n", " b", "\n"));
  EXPECT_THAT(Split("gpt-2", "a\tb"), ElementsAre("a", "\t", "b"));
  EXPECT_THAT(Split("gpt-2", "a\r\n\r\nb"),
              ElementsAre("a", "\r\n\r", "\n", "b"));
  EXPECT_THAT(Split("gpt-2", "   "), ElementsAre("   "));
}

TEST(PreTokenizerTest, SmollmTakesEachDigitAlone) {
  EXPECT_THAT(Split("gpt-2", "in 2024"), ElementsAre("in", " 2024"));
  EXPECT_THAT(Split("smollm", "in 2024"),
              ElementsAre("in", " ", "2", "0", "2", "4"));
  // The run of spaces ends where its piece does: nothing is left to the digit.
  EXPECT_THAT(Split("smollm", "a  5 b"), ElementsAre("a", "  ", "5", " b"));
  EXPECT_THAT(Split("smollm", "x²Ⅷ٣"), ElementsAre("x", "²", "Ⅷ", "٣"));
}

TEST(PreTokenizerTest, KnowsUnicodeClasses) {
  EXPECT_THAT(Split("gpt-2", "naïve Größe"), ElementsAre("naïve", " Größe"));
  EXPECT_THAT(Split("gpt-2", "مرحبا بك"), ElementsAre("مرحبا", " بك"));
  // A combining mark (M) is no letter.
  EXPECT_THAT(Split("gpt-2", "e\u0301a"), ElementsAre("e", "\u0301", "a"));
  EXPECT_THAT(Split("gpt-2", "a\u00A0\u3000b"),
              ElementsAre("a", "\u00A0", "\u3000", "b"));
  EXPECT_THAT(Split("gpt-2", "a\u0085b"), ElementsAre("a", "\u0085", "b"));
}

TEST(PreTokenizerTest, TheMongolianVowelSeparatorIsNoSpace) {
  EXPECT_THAT(Split("gpt-2", "\u180E!"), ElementsAre("\u180E!"));
}

TEST(PreTokenizerTest, LosesNothing) {
  std::string text(1, '\0');
  text += "a😀\u200D🔥 ไทย\u0301 \t\r\n 12½\u180E";
  for (const char* name : {"gpt-2", "smollm"}) {
    std::string joined;
    for (const std::string& piece : Split(name, text)) joined += piece;
    EXPECT_EQ(joined, text) << name;
  }
  EXPECT_THAT(Split("smollm", ""), IsEmpty());
}

TEST(PreTokenizerTest, ReadsLongRuns) {
  EXPECT_THAT(Split("smollm", std::string(1000000, ' ')),
              ElementsAre(std::string(1000000, ' ')));
  EXPECT_THAT(Split("smollm", std::string(1000000, 'a')),
              ElementsAre(std::string(1000000, 'a')));
  EXPECT_THAT(Split("smollm", std::string(100000, '7')), Each("7"));
}

TEST(PreTokenizerTest, UnknownNamesListTheKnown) {
  EXPECT_THAT(
      PreTokenizer::Create("bloom"),
      StatusIs(
          StatusCode::kInvalidArgument,
          AllOf(HasSubstr("'bloom'"),
                HasSubstr("known are gpt-2, olmo, smollm, llama-bpe, qwen2"))));
}

}  // namespace
}  // namespace tandem
