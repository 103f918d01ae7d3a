#include "model/sentence_piece_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/byte_token.h"
#include "model/gguf_tokenizer.h"
#include "model/sentence_piece_model.pb.h"
#include "model/tokenizer.h"
#include "model/tokenizer_json.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kUnigram = 1, kBpe = 2;
constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4,
              kUnused = 5, kByte = 6;

void AddPiece(const std::string& text, float score, int type,
              sentence_piece::Model* model) {
  sentence_piece::Piece* piece = model->add_pieces();
  piece->set_piece(text);
  piece->set_score(score);
  piece->set_type(type);
}

// Ids: <unk> 0, <s> 1, </s> 2, ▁ 3, a 4, b 5, ab 6, ▁ab 7, <x> 8.
sentence_piece::Model SmallModel(int type) {
  sentence_piece::Model model;
  AddPiece("<unk>", 0, kUnknown, &model);
  AddPiece("<s>", 0, kControl, &model);
  AddPiece("</s>", 0, kControl, &model);
  AddPiece("▁", -2, kNormal, &model);
  AddPiece("a", -3, kNormal, &model);
  AddPiece("b", -4, kNormal, &model);
  AddPiece("ab", -1, kNormal, &model);
  AddPiece("▁ab", -1.5, kNormal, &model);
  AddPiece("<x>", 0, kUserDefined, &model);
  model.mutable_trainer_spec()->set_model_type(type);
  model.mutable_normalizer_spec()->set_remove_extra_whitespaces(false);
  return model;
}

void AddBytes(sentence_piece::Model* model) {
  for (int byte = 0; byte < 256; ++byte) {
    AddPiece(ByteTokenText(static_cast<unsigned char>(byte)), 0, kByte, model);
  }
  model->mutable_trainer_spec()->set_byte_fallback(true);
}

Tokenizer TokenizerOfModel(const sentence_piece::Model& model) {
  auto data = ParseSentencePieceModel(model.SerializeAsString());
  EXPECT_THAT(data, IsOk());
  auto tokenizer = Tokenizer::Create(*std::move(data));
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

TEST(SentencePieceModel, ReadsPiecesAndRoles) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const TokenizerData data,
      ParseSentencePieceModel(SmallModel(kBpe).SerializeAsString()));
  EXPECT_EQ(data.model, TokenizerModel::kSentencePieceBpe);
  EXPECT_THAT(data.tokens, ElementsAre("<unk>", "<s>", "</s>", "▁", "a", "b",
                                       "ab", "▁ab", "<x>"));
  EXPECT_THAT(data.scores, ElementsAre(0, 0, 0, -2, -3, -4, -1, -1.5, 0));
  EXPECT_EQ(data.types[8], TokenType::kUserDefined);
  EXPECT_EQ(data.unknown_id, 0);
  EXPECT_EQ(data.bos_id, 1);
  EXPECT_EQ(data.eos_id, 2);
  EXPECT_EQ(data.padding_id, std::nullopt);
  EXPECT_TRUE(data.add_bos);
  EXPECT_EQ(data.space_prefix, SpacePrefix::kEveryPart);
}

TEST(SentencePieceModel, RolesAreFoundByTheirText) {
  sentence_piece::Model model = SmallModel(kBpe);
  model.mutable_trainer_spec()->set_bos_piece("</s>");
  model.mutable_trainer_spec()->set_eos_piece("a");  // is no control token
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const TokenizerData data,
      ParseSentencePieceModel(model.SerializeAsString()));
  EXPECT_EQ(data.bos_id, 2);
  EXPECT_EQ(data.eos_id, std::nullopt);
}

TEST(SentencePieceModel, MergesByScore) {
  const Tokenizer tokenizer = TokenizerOfModel(SmallModel(kBpe));
  EXPECT_THAT(tokenizer.Encode("ab aab"), ElementsAre(7, 3, 4, 6));
  EXPECT_THAT(tokenizer.Encode("cc"), ElementsAre(3, 0));
  EXPECT_EQ(tokenizer.Decode({7, 3, 4, 6}), "ab aab");
}

TEST(SentencePieceModel, UnknownCharactersFallBackToBytes) {
  for (const int type : {kUnigram, kBpe}) {
    sentence_piece::Model model = SmallModel(type);
    AddBytes(&model);
    const Tokenizer tokenizer = TokenizerOfModel(model);
    EXPECT_THAT(tokenizer.Encode("é"), ElementsAre(3, 9 + 0xC3, 9 + 0xA9));
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("aé😀")), "aé😀");
  }
}

// The first part alone gets a prefix, and no merge reaches across.
TEST(SentencePieceModel, UserDefinedTokensStandInTheMarkedText) {
  for (const int type : {kUnigram, kBpe}) {
    const Tokenizer tokenizer = TokenizerOfModel(SmallModel(type));
    EXPECT_THAT(tokenizer.Encode("<x>ab<x>"), ElementsAre(3, 8, 6, 8)) << type;
  }
}

TEST(SentencePieceModel, ControlTokensArePartsOnlyWhenAsked) {
  const Tokenizer tokenizer = TokenizerOfModel(SmallModel(kBpe));
  EXPECT_THAT(tokenizer.Encode("</s>ab", true), ElementsAre(2, 7));
  EXPECT_THAT(tokenizer.Encode("</s>ab"), ElementsAre(3, 0, 6));
}

TEST(SentencePieceModel, NeedlessSpacesGo) {
  sentence_piece::Model model = SmallModel(kBpe);
  model.mutable_normalizer_spec()->set_remove_extra_whitespaces(true);
  const Tokenizer tokenizer = TokenizerOfModel(model);
  EXPECT_EQ(tokenizer.Encode("  ab   ab  "), tokenizer.Encode("ab ab"));
  EXPECT_THAT(tokenizer.Encode("   "), IsEmpty());
  EXPECT_THAT(tokenizer.Encode("▁"), IsEmpty());
  const Tokenizer keeps = TokenizerOfModel(SmallModel(kBpe));
  EXPECT_THAT(keeps.Encode(" ab "), ElementsAre(3, 7, 3));
}

// As SentencePiece: an unused piece is none, whatever its score.
TEST(SentencePieceModel, UnigramNeverTakesAnUnusedPiece) {
  sentence_piece::Model model = SmallModel(kUnigram);
  EXPECT_THAT(TokenizerOfModel(model).Encode("ab"), ElementsAre(7));
  model.mutable_pieces(7)->set_type(kUnused);
  EXPECT_THAT(TokenizerOfModel(model).Encode("ab"), ElementsAre(3, 6));
}

TEST(SentencePieceModel, OtherFilesCannotSayEverything) {
  sentence_piece::Model model = SmallModel(kBpe);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      TokenizerData data, ParseSentencePieceModel(model.SerializeAsString()));
  EXPECT_THAT(FormatTokenizerJson(data), IsInvalid("token 8"));
  data.types[8] = TokenType::kControl;
  EXPECT_THAT(FormatTokenizerJson(data), IsOk());
  data.collapse_spaces = true;
  EXPECT_THAT(FormatTokenizerJson(data), IsInvalid("drops spaces"));
  GgufWriter writer;
  EXPECT_THAT(AddTokenizer(data, 9, writer), IsInvalid("drops spaces"));
}

class BadSentencePieceModel : public ::testing::Test {
 protected:
  void ExpectRefused(const std::string& message) {
    EXPECT_THAT(ParseSentencePieceModel(model_.SerializeAsString()),
                IsInvalid(message));
  }
  sentence_piece::Model model_ = SmallModel(kBpe);
};

TEST_F(BadSentencePieceModel, TypesOfModels) {
  for (const int type : {0, 3, 4, -1}) {
    model_.mutable_trainer_spec()->set_model_type(type);
    ExpectRefused(fmt::format("model_type is {}", type));
  }
}

TEST_F(BadSentencePieceModel, Normalisation) {
  model_.mutable_normalizer_spec()->set_precompiled_charsmap("1234");
  ExpectRefused("normalizer_spec.precompiled_charsmap has 4 bytes");
  model_ = SmallModel(kBpe);
  model_.mutable_denormalizer_spec()->set_precompiled_charsmap("1");
  ExpectRefused("denormalizer_spec.precompiled_charsmap has 1 bytes");
  model_ = SmallModel(kBpe);
  model_.mutable_normalizer_spec()->set_escape_whitespaces(false);
  ExpectRefused("escape_whitespaces = false");
  model_ = SmallModel(kBpe);
  model_.mutable_trainer_spec()->set_treat_whitespace_as_suffix(true);
  ExpectRefused("treat_whitespace_as_suffix = true");
}

TEST_F(BadSentencePieceModel, Pieces) {
  model_.mutable_pieces(4)->set_piece("");
  ExpectRefused("piece 4 is empty");
  model_.mutable_pieces(4)->set_piece("\xC3");
  ExpectRefused("piece 4 is not UTF-8");
  model_ = SmallModel(kBpe);
  model_.mutable_pieces(4)->set_type(7);
  ExpectRefused("piece 4 has the type 7, expected 1 to 6");
  model_.mutable_pieces(4)->set_type(0);
  ExpectRefused("piece 4 has the type 0");
  model_.mutable_pieces(4)->set_type(kUnused);
  ExpectRefused("piece 4, 'a', is unused");
  model_.mutable_pieces(4)->set_type(kUnknown);
  ExpectRefused("pieces 0 and 4 are both the unknown one");
  model_ = SmallModel(kBpe);
  model_.mutable_pieces(0)->set_type(kNormal);
  ExpectRefused("none of 9 pieces is the unknown one");
  model_.clear_pieces();
  ExpectRefused("a model of 0 pieces");
}

TEST_F(BadSentencePieceModel, Bytes) {
  model_.mutable_trainer_spec()->set_byte_fallback(true);
  ExpectRefused("0 pieces are bytes, expected 256");
  model_.mutable_pieces(4)->set_type(kByte);
  ExpectRefused("piece 4 is a byte but reads 'a'");
  model_ = SmallModel(kBpe);
  AddBytes(&model_);
  model_.mutable_trainer_spec()->set_byte_fallback(false);
  ExpectRefused("256 pieces are bytes, expected 0");
}

// Create says so, as of any file.
TEST_F(BadSentencePieceModel, DuplicatesAndScores) {
  model_.mutable_pieces(5)->set_piece("a");
  auto data = ParseSentencePieceModel(model_.SerializeAsString());
  ASSERT_THAT(data, IsOk());
  EXPECT_THAT(Tokenizer::Create(*data), IsInvalid("tokens 4 and 5"));
  model_ = SmallModel(kBpe);
  model_.mutable_pieces(5)->set_score(NAN);
  data = ParseSentencePieceModel(model_.SerializeAsString());
  ASSERT_THAT(data, IsOk());
  EXPECT_THAT(Tokenizer::Create(*data), IsInvalid("token 5 has the score nan"));
}

TEST(SentencePieceModelFile, CutAtEveryByteIsRefused) {
  const std::string whole = SmallModel(kBpe).SerializeAsString();
  ASSERT_THAT(ParseSentencePieceModel(whole), IsOk());
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(ParseSentencePieceModel(whole.substr(0, bytes)).ok()) << bytes;
  }
}

// What a flipped bit leaves readable must still make a tokenizer that works.
TEST(SentencePieceModelFile, FlippedBitsDoNoHarm) {
  int readable = 0;
  for (const int type : {kUnigram, kBpe}) {
    const std::string whole = SmallModel(type).SerializeAsString();
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      auto data = ParseSentencePieceModel(flipped);
      if (!data.ok()) continue;
      const auto tokenizer = Tokenizer::Create(*std::move(data));
      if (!tokenizer.ok()) continue;
      ++readable;
      tokenizer->Decode(tokenizer->Encode(" ab <x>é</s>", true));
    }
  }
  EXPECT_GT(readable, 0);
}

TEST(SentencePieceModelFile, OtherFilesAreRefused) {
  EXPECT_THAT(ParseSentencePieceModel("GGUF\x03"),
              IsInvalid("no SentencePiece model"));
  EXPECT_THAT(ParseSentencePieceModel("{\"model\": {}}"),
              IsInvalid("no SentencePiece model"));
  EXPECT_THAT(ParseSentencePieceModel(""), IsInvalid("without trainer_spec"));
}

}  // namespace
}  // namespace tandem
