#include "model/tokenizer_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "model/sentence_piece_model.pb.h"
#include "model/tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::ElementsAre;

class TokenizerFolderTest : public ::testing::Test {
 protected:
  // Ids: <unk> 0, <s> 1, </s> 2, ▁ 3, a 4.
  void SetUp() override {
    sentence_piece::Model model;
    const auto add = [&](const char* text, int type) {
      sentence_piece::Piece* piece = model.add_pieces();
      piece->set_piece(text);
      piece->set_score(-1);
      piece->set_type(type);
    };
    add("<unk>", 2);
    add("<s>", 3);
    add("</s>", 3);
    add("▁", 1);
    add("a", 1);
    model.mutable_trainer_spec()->set_model_type(2);
    model.mutable_normalizer_spec()->set_remove_extra_whitespaces(false);
    Write("tokenizer.model", model.SerializeAsString());
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_THAT(WriteFileAtomically(folder_ / name, text), IsOk());
  }
  void ExpectRefused(const std::string& config, const std::string& message) {
    Write("tokenizer_config.json", config);
    EXPECT_THAT(LoadTokenizerFiles(folder_.path()), IsInvalid(message));
  }
  testing::TempFolder folder_;
};

TEST_F(TokenizerFolderTest, ReadsTokenizerModel) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              LoadTokenizerFiles(folder_.path()));
  EXPECT_EQ(data.model, TokenizerModel::kSentencePieceBpe);
  EXPECT_TRUE(data.add_bos);
}

TEST_F(TokenizerFolderTest, TokenizerJsonGoesFirst) {
  ASSERT_THAT(
      SaveTokenizerFiles(testing::TinyTokenizerData(), 512, folder_.path()),
      IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              LoadTokenizerFiles(folder_.path()));
  EXPECT_EQ(data.model, TokenizerModel::kByteLevelBpe);
}

TEST_F(TokenizerFolderTest, ConfigAddsTokensAndRoles) {
  Write("tokenizer_config.json", R"({"add_bos_token": false,
    "pad_token": "<pad>", "chat_template": "{{ 1 }}",
    "added_tokens_decoder": {
      "6": {"content": "<tool>", "special": false},
      "5": {"content": "<pad>", "special": true},
      "1": {"content": "<s>", "special": true},
      "0": {"content": "<unk>", "special": true}}})");
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              LoadTokenizerFiles(folder_.path()));
  EXPECT_THAT(data.tokens,
              ElementsAre("<unk>", "<s>", "</s>", "▁", "a", "<pad>", "<tool>"));
  EXPECT_EQ(data.types[0], TokenType::kUnknown);
  EXPECT_EQ(data.types[5], TokenType::kControl);
  EXPECT_EQ(data.types[6], TokenType::kUserDefined);
  EXPECT_FALSE(data.add_bos);
  EXPECT_EQ(data.padding_id, 5);
  EXPECT_EQ(data.chat_template, "{{ 1 }}");
  TANDEM_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                              Tokenizer::Create(data));
  EXPECT_THAT(tokenizer.Encode("a<pad>a", true), ElementsAre(3, 4, 5, 3, 4));
}

TEST_F(TokenizerFolderTest, AddedTokensAreControlTokens) {
  Write("added_tokens.json", R"({"<b>": 6, "<a>": 5, "a": 4})");
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              LoadTokenizerFiles(folder_.path()));
  EXPECT_THAT(data.tokens,
              ElementsAre("<unk>", "<s>", "</s>", "▁", "a", "<a>", "<b>"));
  EXPECT_EQ(data.types[4], TokenType::kNormal);
  EXPECT_EQ(data.types[6], TokenType::kControl);
}

TEST_F(TokenizerFolderTest, RefusesTokensThatDoNotFit) {
  ExpectRefused(R"({"added_tokens_decoder": {"4": {"content": "b"}}})",
                "token 4 is 'b', but 'a' in the tokenizer.model");
  ExpectRefused(R"({"added_tokens_decoder": {"9": {"content": "b"}}})",
                "token 'b' has the id 9, expected 0 to 5");
  ExpectRefused(R"({"added_tokens_decoder": {"-1": {"content": "b"}}})",
                "token 'b' has the id -1");
  ExpectRefused(R"({"added_tokens_decoder": {"x": {"content": "b"}}})",
                "the id 'x'");
  ExpectRefused(R"({"added_tokens_decoder": {"5": "b"}})", "holds \"b\"");
  ExpectRefused(R"({"added_tokens_decoder": [1]})", "no object");
  ExpectRefused(
      R"({"added_tokens_decoder": {"5": {"content": "b", "rstrip": true}}})",
      "rstrip");
  ExpectRefused("{", "tokenizer_config.json");
  Write("tokenizer_config.json", "{}");
  Write("added_tokens.json", R"({"<a>": "5"})");
  EXPECT_THAT(LoadTokenizerFiles(folder_.path()), IsInvalid("\"5\""));
  Write("added_tokens.json", R"({"<a>": -5})");
  EXPECT_THAT(LoadTokenizerFiles(folder_.path()), IsInvalid("the id -5"));
}

TEST_F(TokenizerFolderTest, NamesTheFileAtFault) {
  Write("tokenizer.model", "no model");
  EXPECT_THAT(LoadTokenizerFiles(folder_.path()),
              IsInvalid((folder_ / "tokenizer.model").string()));
}

TEST(TokenizerFolder, NeedsOneOfTheTwoFiles) {
  const testing::TempFolder folder;
  EXPECT_THAT(LoadTokenizerFiles(folder.path()),
              StatusIs(StatusCode::kNotFound));
}

}  // namespace
}  // namespace tandem
