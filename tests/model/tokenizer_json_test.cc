#include "model/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// As the `tokenizers` package writes one.
Json Document() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 0, "content": "<|end|>", "single_word": false, "lstrip": false,
       "rstrip": false, "normalized": false, "special": true},
      {"id": 4, "content": "<tool>", "single_word": false, "lstrip": false,
       "rstrip": false, "normalized": false, "special": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
       "use_regex": true}]},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true,
                "trim_offsets": true, "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": null, "end_of_word_suffix": null,
      "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
      "vocab": {"<|end|>": 0, "t": 1, "h": 2, "th": 3},
      "merges": [["t", "h"]]}})");
}

Status StatusOfParsing(const Json& document) {
  return ParseTokenizerJson(document.dump()).status();
}

TEST(TokenizerJson, ReadsTokensTypesAndMerges) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              ParseTokenizerJson(Document().dump()));
  EXPECT_THAT(data.tokens, ElementsAre("<|end|>", "t", "h", "th", "<tool>"));
  EXPECT_THAT(data.types, ElementsAre(TokenType::kControl, TokenType::kNormal,
                                      TokenType::kNormal, TokenType::kNormal,
                                      TokenType::kUserDefined));
  EXPECT_THAT(data.merges, ElementsAre("t h"));
  EXPECT_EQ(data.pre_tokenizer, "smollm");
  EXPECT_FALSE(data.add_bos);
}

TEST(TokenizerJson, MergesMayBeOneString) {
  Json document = Document();
  document["model"]["merges"] = {"t h"};
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              ParseTokenizerJson(document.dump()));
  EXPECT_THAT(data.merges, ElementsAre("t h"));
}

TEST(TokenizerJson, ByteLevelAloneIsGpt2) {
  Json document = Document();
  document["pre_tokenizer"] =
      Json(document["pre_tokenizer"]["pretokenizers"][1]);
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              ParseTokenizerJson(document.dump()));
  EXPECT_EQ(data.pre_tokenizer, "gpt-2");
}

TEST(TokenizerJson, LeadingTokenOfTheTemplateIsBos) {
  Json document = Document();
  document["post_processor"] = Json::parse(R"({"type": "Sequence",
    "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}]}]})");
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              ParseTokenizerJson(document.dump()));
  EXPECT_TRUE(data.add_bos);
  EXPECT_EQ(data.bos_id, 0);
}

TEST(TokenizerJson, ConfigNamesRolesAndTemplate) {
  TANDEM_ASSERT_OK_AND_ASSIGN(TokenizerData data,
                              ParseTokenizerJson(Document().dump()));
  ASSERT_THAT(ApplyTokenizerConfig(R"({"bos_token": null, "pad_token": "<tool>",
        "eos_token": {"content": "<|end|>", "lstrip": false},
        "chat_template": [{"name": "rag", "template": "no"},
                          {"name": "default", "template": "yes"}]})",
                                   data),
              IsOk());
  EXPECT_EQ(data.bos_id, std::nullopt);
  EXPECT_EQ(data.eos_id, 0);
  EXPECT_EQ(data.padding_id, 4);
  EXPECT_EQ(data.chat_template, "yes");
  EXPECT_THAT(ApplyTokenizerConfig(R"({"eos_token": "</s>"})", data),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'</s>'")));
}

TEST(TokenizerJson, RoundTripKeepsEverything) {
  TokenizerData saved = testing::TinyTokenizerData();
  saved.add_bos = true;
  saved.chat_template = "{{ messages }}\n";
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string json,
                              FormatTokenizerJson(saved));
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string config,
                              FormatTokenizerConfig(saved, 512));
  TANDEM_ASSERT_OK_AND_ASSIGN(TokenizerData data, ParseTokenizerJson(json));
  ASSERT_THAT(ApplyTokenizerConfig(config, data), IsOk());
  EXPECT_EQ(data.tokens, saved.tokens);
  EXPECT_EQ(data.types, saved.types);
  EXPECT_EQ(data.merges, saved.merges);
  EXPECT_EQ(data.bos_id, saved.bos_id);
  EXPECT_EQ(data.eos_id, saved.eos_id);
  EXPECT_EQ(data.unknown_id, saved.unknown_id);
  EXPECT_EQ(data.padding_id, saved.padding_id);
  EXPECT_TRUE(data.add_bos);
  EXPECT_EQ(data.chat_template, saved.chat_template);
}

TEST(TokenizerJson, WriterRefusesWhatHasNoForm) {
  TokenizerData data = testing::TinyTokenizerData();
  data.pre_tokenizer = "bloom";
  EXPECT_THAT(FormatTokenizerJson(data),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("bloom")));
  data = testing::TinyTokenizerData();
  data.merges.push_back("the");
  EXPECT_THAT(FormatTokenizerJson(data),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'the'")));
  data = testing::TinyTokenizerData();
  data.tokens.back() = "\xff";
  EXPECT_THAT(FormatTokenizerJson(data),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
  data = testing::TinyTokenizerData();
  data.eos_id = 1000;
  EXPECT_THAT(FormatTokenizerConfig(data, 512),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("1000")));
}

struct Change {
  const char* name;
  const char* pointer;  // where in the document
  const char* value;    // what stands there instead
  const char* message;
};

class TokenizerJsonRefuses : public ::testing::TestWithParam<Change> {};

TEST_P(TokenizerJsonRefuses, WhatWouldChangeIds) {
  Json document = Document();
  document[Json::json_pointer(GetParam().pointer)] =
      Json::parse(GetParam().value);
  EXPECT_THAT(
      StatusOfParsing(document),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Documents, TokenizerJsonRefuses,
    ::testing::Values(
        Change{"OtherModel", "/model/type", "\"Unigram\"", "'Unigram'"},
        Change{"ModelIsNoObject", "/model", "3", "'model'"},
        Change{"Normalizer", "/normalizer", R"({"type": "NFKC"})", "'NFKC'"},
        Change{"OtherPreTokenizer", "/pre_tokenizer",
               R"({"type": "Whitespace"})", "'Whitespace'"},
        Change{"OtherSequence", "/pre_tokenizer/pretokenizers/0/type",
               "\"Split\"", "'Sequence Split ByteLevel'"},
        Change{"NoPreTokenizer", "/pre_tokenizer", "null", "pre_tokenizer"},
        Change{"PrefixSpace", "/pre_tokenizer/pretokenizers/1/add_prefix_space",
               "true", "add_prefix_space"},
        Change{"DigitGroups",
               "/pre_tokenizer/pretokenizers/0/individual_digits", "false",
               "individual_digits"},
        Change{"ByteFallback", "/model/byte_fallback", "true", "byte_fallback"},
        Change{"Dropout", "/model/dropout", "0.1", "dropout"},
        Change{"Suffix", "/model/end_of_word_suffix", "\"</w>\"", "</w>"},
        Change{"PostProcessor", "/post_processor",
               R"({"type": "BertProcessing"})", "BertProcessing"},
        Change{"TrailingToken", "/post_processor",
               R"({"type": "TemplateProcessing", "single": [
                 {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "t"}}]})",
               "before the text"},
        Change{"NegativeId", "/model/vocab/t", "-1", "'t' has the id -1"},
        Change{"HugeId", "/model/vocab/t", "4611686018427387904",
               "4611686018427387904"},
        Change{"SharedId", "/model/vocab/t", "2", "share the id 2"},
        Change{"Hole", "/model/vocab/t", "9", "none has the id 1"},
        Change{"VocabularyIsNoObject", "/model/vocab", "[]", "vocab"},
        Change{"MergeOfOne", "/model/merges/0", "[\"t\"]", "merge 0"},
        Change{"MergesMissing", "/model/merges", "null", "merges"},
        Change{"AddedTokenWithoutId", "/added_tokens/0", "{}", "no id"},
        Change{"AddedTokenStrips", "/added_tokens/0/lstrip", "true", "lstrip"}),
    [](const auto& info) { return info.param.name; });

// Hugging Face would look for "▁<tool>".
TEST(TokenizerJsonRefuses, AddedTokensThatANormalizerChanges) {
  Json document = Document();
  document["pre_tokenizer"] = nullptr;
  document["decoder"] = nullptr;
  document["normalizer"] = Json::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})");
  EXPECT_THAT(StatusOfParsing(document), IsOk());
  document["added_tokens"][1]["normalized"] = true;
  EXPECT_THAT(StatusOfParsing(document),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("'<tool>' with normalized = true")));
  document["normalizer"]["normalizers"].erase(0);
  EXPECT_THAT(StatusOfParsing(document), IsOk());
  document["added_tokens"][1]["content"] = "a tool";
  EXPECT_THAT(StatusOfParsing(document),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'a tool'")));
}

TEST(TokenizerJsonRefuses, TextThatIsNotJson) {
  EXPECT_THAT(ParseTokenizerJson("{"), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseTokenizerJson("[]"), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseTokenizerJson("\"\xff\""),
              StatusIs(StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tandem
