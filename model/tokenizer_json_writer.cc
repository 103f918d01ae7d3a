#include "model/json_fields.h"
#include "model/merge_scores.h"
#include "model/sentence_piece_text.h"
#include "model/tokenizer_json.h"
#include "model/tokenizer_json_parts.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

Json AddedToken(const std::string& text, bool special) {
  return {{"content", text}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false},  {"special", special}};
}

Json AddedTokensJson(const TokenizerData& data) {
  Json tokens = Json::array();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (!IsAddedToken(data.types[id])) continue;
    Json token = AddedToken(data.tokens[id], IsControlToken(data.types[id]));
    token["id"] = id;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

StatusOr<Json> MergesJson(const TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<std::string> lines, MergesOf(data));
  Json merges = Json::array();
  for (const std::string& merge : lines) {
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos) {
      return InvalidArgument("merge '{}' is not two tokens", merge);
    }
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return merges;
}

StatusOr<Json> VocabularyJson(const TokenizerData& data) {
  Json vocabulary = Json::object();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (!vocabulary.emplace(data.tokens[id], id).second) {
      return InvalidArgument("token '{}' is there twice", data.tokens[id]);
    }
  }
  return vocabulary;
}

StatusOr<Json> BpeJson(const TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(Json vocabulary, VocabularyJson(data));
  TANDEM_ASSIGN_OR_RETURN(Json merges, MergesJson(data));
  const bool is_byte_level = data.model == TokenizerModel::kByteLevelBpe;
  Json unknown;  // ByteLevel's leave out what they have no token for
  if (!is_byte_level && data.unknown_id) {
    unknown = data.tokens[*data.unknown_id];
  }
  return Json{{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", std::move(unknown)},
              {"continuing_subword_prefix", nullptr},
              {"end_of_word_suffix", nullptr},
              {"fuse_unk", !is_byte_level && data.fuse_unknown},
              {"byte_fallback", data.byte_fallback},
              {"ignore_merges", data.ignore_merges},
              {"vocab", std::move(vocabulary)},
              {"merges", std::move(merges)}};
}

StatusOr<Json> UnigramJson(const TokenizerData& data) {
  if (data.scores.size() != data.tokens.size()) {
    return InvalidArgument("{} scores for {} tokens", data.scores.size(),
                           data.tokens.size());
  }
  Json vocabulary = Json::array();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.types[id] == TokenType::kUnused) {
      return InvalidArgument(
          "token {}, '{}', is unused, which a unigram's tokenizer.json cannot "
          "say",
          id, data.tokens[id]);
    }
    vocabulary.push_back({data.tokens[id], data.scores[id]});
  }
  Json unknown;
  if (data.unknown_id) unknown = *data.unknown_id;
  return Json{{"type", "Unigram"},
              {"unk_id", std::move(unknown)},
              {"byte_fallback", data.byte_fallback},
              {"vocab", std::move(vocabulary)}};
}

// Null, or a template that puts the bos token before every text.
Json PostProcessorJson(const TokenizerData& data) {
  if (!data.add_bos || !data.bos_id) return nullptr;
  const std::string& bos = data.tokens[*data.bos_id];
  const auto token = [&](int type) {
    return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
  };
  const auto text = [](const char* id, int type) {
    return Json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  const Json special = {{"id", bos},
                        {"ids", Json::array({*data.bos_id})},
                        {"tokens", Json::array({bos})}};
  return {
      {"type", "TemplateProcessing"},
      {"single", Json::array({token(0), text("A", 0)})},
      {"pair", Json::array({token(0), text("A", 0), token(1), text("B", 1)})},
      {"special_tokens", {{bos, special}}}};
}

Status CheckSpecialIds(const TokenizerData& data) {
  if (data.types.size() != data.tokens.size()) {
    return InvalidArgument("{} token types for {} tokens", data.types.size(),
                           data.tokens.size());
  }
  for (const auto& id :
       {data.bos_id, data.eos_id, data.unknown_id, data.padding_id}) {
    if (id && (*id < 0 || static_cast<size_t>(*id) >= data.tokens.size())) {
      return InvalidArgument("special token id {} is none of {} tokens", *id,
                             data.tokens.size());
    }
  }
  return OkStatus();
}

// {"bos_token": "...", ...} of the roles that are filled.
Json Roles(const TokenizerData& data) {
  Json roles = Json::object();
  const auto add = [&](const char* role, const std::optional<int32_t>& id) {
    if (id) roles[role] = data.tokens[*id];
  };
  add("bos_token", data.bos_id);
  add("eos_token", data.eos_id);
  add("unk_token", data.unknown_id);
  add("pad_token", data.padding_id);
  return roles;
}

}  // namespace

StatusOr<std::string> FormatTokenizerJson(const TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(CheckSpecialIds(data));
  TANDEM_RETURN_IF_ERROR(CheckHasOtherForm(data));
  Json document = {{"version", "1.0"},
                   {"truncation", nullptr},
                   {"padding", nullptr},
                   {"added_tokens", AddedTokensJson(data)},
                   {"post_processor", PostProcessorJson(data)}};
  TANDEM_RETURN_IF_ERROR(WriteTextParts(data, document));
  TANDEM_ASSIGN_OR_RETURN(document["model"],
                          data.model == TokenizerModel::kUnigram
                              ? UnigramJson(data)
                              : BpeJson(data));
  return FormatJson(document, -1);
}

StatusOr<std::string> FormatTokenizerConfig(const TokenizerData& data,
                                            int64_t context_length) {
  TANDEM_RETURN_IF_ERROR(CheckSpecialIds(data));
  Json config = Roles(data);
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["model_max_length"] = context_length;
  config["clean_up_tokenization_spaces"] = false;
  config["add_bos_token"] = data.add_bos;
  if (!data.chat_template.empty()) config["chat_template"] = data.chat_template;
  Json& added = config["added_tokens_decoder"] = Json::object();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (!IsAddedToken(data.types[id])) continue;
    added[std::to_string(id)] =
        AddedToken(data.tokens[id], IsControlToken(data.types[id]));
  }
  return FormatJson(config, 2);
}

StatusOr<std::string> FormatSpecialTokensMap(const TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(CheckSpecialIds(data));
  return FormatJson(Roles(data), 2);
}

}  // namespace tandem
