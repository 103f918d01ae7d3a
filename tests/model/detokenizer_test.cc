#include "model/detokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "model/byte_token.h"
#include "model/utf8.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;

constexpr int32_t kStart = 1, kSpaceHi = 2, kHi = 3, kSpace = 4, kByteZero = 5;

// Ids: <unk> 0, <s> 1, "▁hi" 2, "hi" 3, "▁" 4, the bytes from 5 on.
Tokenizer ByteTokenizer(SpacePrefix prefix = SpacePrefix::kNone) {
  TokenizerData data;
  data.model = TokenizerModel::kSentencePieceBpe;
  data.tokens = {"<unk>", "<s>", "▁hi", "hi", "▁"};
  data.types = {TokenType::kUnknown, TokenType::kControl, TokenType::kNormal,
                TokenType::kNormal, TokenType::kNormal};
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(ByteTokenText(static_cast<unsigned char>(byte)));
    data.types.push_back(TokenType::kByte);
  }
  data.scores.assign(data.tokens.size(), 0);
  data.byte_fallback = true;
  data.space_prefix = prefix;
  auto tokenizer = Tokenizer::Create(std::move(data));
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

std::vector<int32_t> BytesOf(std::string_view text) {
  std::vector<int32_t> ids;
  for (unsigned char byte : text) ids.push_back(kByteZero + byte);
  return ids;
}

bool IsValid(std::string_view text) {
  std::string storage;
  return AsValidUtf8(text, &storage).data() == text.data();
}

TEST(DetokenizerTest, ACharacterComesWithItsLastByte) {
  Detokenizer detokenizer(ByteTokenizer());
  for (const std::string character : {"é", "€", "😀"}) {
    const std::vector<int32_t> ids = BytesOf(character);
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      EXPECT_EQ(detokenizer.Push(ids[i]), "") << character;
    }
    EXPECT_EQ(detokenizer.Push(ids.back()), character);
  }
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(DetokenizerTest, WhatFollowsWaitsForNoByte) {
  Detokenizer detokenizer(ByteTokenizer());
  EXPECT_EQ(detokenizer.Push(kByteZero + 0xE2), "");
  EXPECT_EQ(detokenizer.Push(kHi), "\uFFFDhi");
  EXPECT_EQ(detokenizer.Push(kByteZero + 0xFF), "\uFFFD");
  EXPECT_EQ(detokenizer.Push(kByteZero + 'x'), "x");
}

TEST(DetokenizerTest, FinishReplacesWhatIsIncompleteAndStartsAnew) {
  Detokenizer detokenizer(ByteTokenizer(SpacePrefix::kEveryPart));
  EXPECT_EQ(detokenizer.Push(kSpaceHi), "hi");
  for (int32_t id : BytesOf("\xF0\x9F\x98")) detokenizer.Push(id);
  EXPECT_EQ(detokenizer.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.Finish(), "");
  EXPECT_EQ(detokenizer.Push(kSpaceHi), "hi");
}

TEST(DetokenizerTest, TheSpaceBeforeATextIsLeftOutOnce) {
  Detokenizer detokenizer(ByteTokenizer(SpacePrefix::kEveryPart));
  EXPECT_EQ(detokenizer.Push(kStart), "");
  EXPECT_EQ(detokenizer.Push(kSpace), "");
  EXPECT_EQ(detokenizer.Push(kSpaceHi), " hi");
  Detokenizer plain(ByteTokenizer());
  EXPECT_EQ(plain.Push(kSpaceHi), " hi");
}

TEST(DetokenizerTest, ShowsControlTokensOnlyWhenAsked) {
  Detokenizer without(ByteTokenizer());
  EXPECT_EQ(without.Push(kStart), "");
  Detokenizer with(ByteTokenizer(), /*with_special=*/true);
  EXPECT_EQ(with.Push(kStart), "<s>");
  EXPECT_EQ(with.Push(-1), "");
  EXPECT_EQ(with.Push(1 << 30), "");
}

// Random bytes with whole characters and words among them.
std::vector<int32_t> RandomIds(SeededRandom& random) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 30; ++i) {
    const std::string_view characters[] = {"é", "€", "😀", "\xED\xA0\x80"};
    const std::vector<int32_t> bytes = BytesOf(characters[random.Below(4)]);
    switch (random.Below(3)) {
      case 0:
        ids.push_back(static_cast<int32_t>(random.Below(kByteZero + 256)));
        break;
      case 1:
        ids.insert(ids.end(), bytes.begin(), bytes.end());
        break;
      default:  // cut short
        ids.insert(ids.end(), bytes.begin(), bytes.end() - 1);
    }
  }
  return ids;
}

TEST(DetokenizerTest, PiecesAreWholeCharactersAndMakeTheDecodedText) {
  SeededRandom random(11);
  for (const SpacePrefix prefix :
       {SpacePrefix::kNone, SpacePrefix::kEveryPart}) {
    const Tokenizer tokenizer = ByteTokenizer(prefix);
    for (int round = 0; round < 500; ++round) {
      Detokenizer detokenizer(tokenizer, round % 2 == 0);
      const std::vector<int32_t> ids = RandomIds(random);
      std::string text;
      for (int32_t id : ids) {
        const std::string piece = detokenizer.Push(id);
        EXPECT_TRUE(IsValid(piece));
        text += piece;
      }
      text += detokenizer.Finish();
      EXPECT_EQ(text,
                ReplaceInvalidUtf8(tokenizer.Decode(ids, round % 2 == 0)));
    }
  }
}

}  // namespace
}  // namespace tandem
