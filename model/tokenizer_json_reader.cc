#include <unordered_map>

#include "model/byte_token.h"
#include "model/json_fields.h"
#include "model/tokenizer_json.h"
#include "model/tokenizer_json_parts.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxTokens = 1 << 24;

Status CheckBpe(const Json& model) {
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    TANDEM_ASSIGN_OR_RETURN(const std::string text, TextField(model, name, ""));
    if (!text.empty()) {
      return InvalidArgument("BPE with {} '{}' is not supported", name, text);
    }
  }
  TANDEM_ASSIGN_OR_RETURN(const double dropout,
                          NumberField(model, "dropout", 0));
  if (dropout != 0) return InvalidArgument("BPE with dropout is not supported");
  return OkStatus();
}

// The options of BPE and Unigram.
Status ReadModelOptions(const Json& model, TokenizerData& data) {
  if (data.model == TokenizerModel::kByteLevelBpe) {
    TANDEM_RETURN_IF_ERROR(ExpectOption(model, "byte_fallback", false, false));
    TANDEM_ASSIGN_OR_RETURN(data.ignore_merges,
                            BoolField(model, "ignore_merges", false));
    return CheckBpe(model);
  }
  TANDEM_ASSIGN_OR_RETURN(data.byte_fallback,
                          BoolField(model, "byte_fallback", false));
  if (data.model == TokenizerModel::kUnigram) return OkStatus();
  TANDEM_RETURN_IF_ERROR(ExpectOption(model, "ignore_merges", false, false));
  TANDEM_ASSIGN_OR_RETURN(data.fuse_unknown,
                          BoolField(model, "fuse_unk", false));
  return CheckBpe(model);
}

// Collects tokens in any order and hands them out by id.
class TokenTable {
 public:
  // The same token may come twice (vocabulary and added tokens), the later
  // type wins.
  Status Add(const std::string& text, const Json& id, TokenType type) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= kMaxTokens) {
      return InvalidArgument("token '{}' has the id {}, expected 0 to {}", text,
                             Shown(id), kMaxTokens - 1);
    }
    const auto [entry, is_new] =
        by_id_.try_emplace(id.get<int64_t>(), text, type);
    if (!is_new && entry->second.first != text) {
      return InvalidArgument("tokens '{}' and '{}' share the id {}",
                             entry->second.first, text, entry->first);
    }
    entry->second.second = type;
    return OkStatus();
  }

  Status MoveTo(TokenizerData& data) {
    for (int64_t id = 0; id < static_cast<int64_t>(by_id_.size()); ++id) {
      const auto found = by_id_.find(id);
      if (found == by_id_.end()) {
        return InvalidArgument("{} tokens, but none has the id {}",
                               by_id_.size(), id);
      }
      data.tokens.push_back(std::move(found->second.first));
      data.types.push_back(found->second.second);
    }
    return OkStatus();
  }

 private:
  std::unordered_map<int64_t, std::pair<std::string, TokenType>> by_id_;
};

// Of a text that normalisers change only a normalised form would be found.
Status CheckUnchanged(const std::string& text, const Json& token,
                      const TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const bool normalized,
                          BoolField(token, "normalized", false));
  const bool is_changed = data.space_prefix == SpacePrefix::kEveryPart ||
                          text.find(' ') != std::string::npos;
  if (!normalized || !is_changed) return OkStatus();
  return InvalidArgument(
      "added token '{}' with normalized = true is not supported after a "
      "normalizer that marks spaces",
      text);
}

// `data` has the tokenizer's text parts.
Status AddAddedToken(const Json& token, bool marks_spaces,
                     const TokenizerData& data, TokenTable& table) {
  if (!token.is_object() || !token.contains("id") ||
      !HasField(token, "content")) {
    return InvalidArgument("an added token has no id or no content");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          TextField(token, "content", ""));
  for (const char* name : {"lstrip", "rstrip", "single_word"}) {
    TANDEM_RETURN_IF_ERROR(Annotate(ExpectOption(token, name, false, false),
                                    fmt::format("added token '{}'", text)));
  }
  TANDEM_ASSIGN_OR_RETURN(const bool special,
                          BoolField(token, "special", false));
  if (marks_spaces && !special) {
    TANDEM_RETURN_IF_ERROR(CheckUnchanged(text, token, data));
  }
  return table.Add(text, token["id"],
                   special ? TokenType::kControl : TokenType::kUserDefined);
}

// "<0x0A>" stands for a byte where unknown characters fall back to bytes.
TokenType TypeInVocabulary(const std::string& text, const TokenizerData& data) {
  const bool is_byte = data.byte_fallback && ByteOfToken(text).has_value();
  return is_byte ? TokenType::kByte : TokenType::kNormal;
}

// {"token": id, ...}
Status ReadVocabulary(const Json& vocabulary, const TokenizerData& data,
                      TokenTable& table) {
  if (!vocabulary.is_object()) {
    return InvalidArgument("model.vocab is missing or not an object");
  }
  for (const auto& [text, id] : vocabulary.items()) {
    TANDEM_RETURN_IF_ERROR(table.Add(text, id, TypeInVocabulary(text, data)));
  }
  return OkStatus();
}

// Unigram's: [["token", score], ...], by id.
Status ReadScoredVocabulary(const Json& vocabulary, TokenizerData& data,
                            TokenTable& table) {
  if (!vocabulary.is_array()) {
    return InvalidArgument("model.vocab is missing or not an array");
  }
  for (size_t id = 0; id < vocabulary.size(); ++id) {
    const Json& entry = vocabulary[id];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
        !entry[1].is_number()) {
      return InvalidArgument("model.vocab[{}] is {}, expected [token, score]",
                             id, Shown(entry));
    }
    const auto text = entry[0].get<std::string>();
    data.scores.push_back(entry[1].get<double>());
    TANDEM_RETURN_IF_ERROR(table.Add(text, id, TypeInVocabulary(text, data)));
  }
  return OkStatus();
}

Status ReadTokens(const Json& document, TokenizerData& data) {
  const Json vocabulary = document["model"].value("vocab", Json());
  TokenTable table;
  TANDEM_RETURN_IF_ERROR(data.model == TokenizerModel::kUnigram
                             ? ReadScoredVocabulary(vocabulary, data, table)
                             : ReadVocabulary(vocabulary, data, table));
  if (HasField(document, "added_tokens")) {
    if (!document["added_tokens"].is_array()) {
      return InvalidArgument("added_tokens is not an array");
    }
    const bool marks_spaces = data.model != TokenizerModel::kByteLevelBpe &&
                              HasField(document, "normalizer");
    for (const Json& token : document["added_tokens"]) {
      TANDEM_RETURN_IF_ERROR(AddAddedToken(token, marks_spaces, data, table));
    }
  }
  TANDEM_RETURN_IF_ERROR(table.MoveTo(data));
  // Added tokens are found whole and need none.
  if (!data.scores.empty()) data.scores.resize(data.tokens.size(), 0);
  return OkStatus();
}

Status ReadMerges(const Json& model, TokenizerData& data) {
  if (!model.contains("merges") || !model["merges"].is_array()) {
    return InvalidArgument("model.merges is missing or not an array");
  }
  for (const Json& merge : model["merges"]) {
    if (merge.is_string()) {
      data.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      data.merges.push_back(fmt::format("{} {}", merge[0].get<std::string>(),
                                        merge[1].get<std::string>()));
    } else {
      return InvalidArgument(
          "merge {} is {}, expected \"a b\" or [\"a\", \"b\"]",
          data.merges.size(), Shown(merge));
    }
  }
  return OkStatus();
}

StatusOr<int32_t> IdOf(const std::string& text, std::string_view role,
                       const TokenizerData& data) {
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.tokens[id] == text) return static_cast<int32_t>(id);
  }
  return InvalidArgument("{} is '{}', which is no token", role, text);
}

// [{SpecialToken}, {Sequence}] adds a token before every text; anything else
// would change ids in a way that TokenizerData cannot say.
Status ApplyTemplate(const Json& part, TokenizerData& data) {
  const Json single = part.value("single", Json());
  if (!single.is_array() || single.empty()) {
    return InvalidArgument("TemplateProcessing has no 'single' array");
  }
  const auto is = [](const Json& piece, const char* kind) {
    return piece.is_object() && piece.contains(kind) && piece[kind].is_object();
  };
  if (single.size() == 1 && is(single[0], "Sequence")) return OkStatus();
  if (single.size() != 2 || !is(single[0], "SpecialToken") ||
      !is(single[1], "Sequence")) {
    return InvalidArgument(
        "TemplateProcessing is only supported with one token before the text");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          TextField(single[0]["SpecialToken"], "id", ""));
  TANDEM_ASSIGN_OR_RETURN(data.bos_id, IdOf(text, "the leading token", data));
  data.add_bos = true;
  return OkStatus();
}

Status ReadPostProcessor(const Json& part, TokenizerData& data) {
  const std::string type = TypeOfPart(part);
  if (part.is_null() || type == "ByteLevel") return OkStatus();
  if (type == "TemplateProcessing") return ApplyTemplate(part, data);
  if (type == "Sequence" && part.value("processors", Json()).is_array()) {
    for (const Json& step : part["processors"]) {
      if (TypeOfPart(step) == "Sequence") {
        return InvalidArgument("post_processor Sequences may not nest");
      }
      TANDEM_RETURN_IF_ERROR(ReadPostProcessor(step, data));
    }
    return OkStatus();
  }
  return InvalidArgument("post_processor '{}' is not supported", type);
}

// "bos_token": null, "text" or {"content": "text", ...}.
Status ApplyRole(const Json& config, const std::string& role,
                 const TokenizerData& data, std::optional<int32_t>& id) {
  if (!HasField(config, role)) return OkStatus();
  const Json& value = config[role];
  const Json& text =
      value.is_object() && value.contains("content") ? value["content"] : value;
  if (!text.is_string()) {
    return InvalidArgument("field '{}' is {}, expected a token", role,
                           Shown(value));
  }
  TANDEM_ASSIGN_OR_RETURN(id, IdOf(text.get<std::string>(), role, data));
  return OkStatus();
}

// BPE has the token's text, Unigram its id.
Status ReadUnknownToken(const Json& model, TokenizerData& data) {
  if (data.model != TokenizerModel::kUnigram) {
    return ApplyRole(model, "unk_token", data, data.unknown_id);
  }
  if (!HasField(model, "unk_id")) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t id,
      IntegerField(model, "unk_id", 0,
                   static_cast<int64_t>(data.tokens.size()) - 1));
  data.unknown_id = static_cast<int32_t>(id);
  return OkStatus();
}

// A string, or [{"name", "template"}, ...] with one named "default".
Status ApplyChatTemplate(const Json& config, TokenizerData& data) {
  if (!HasField(config, "chat_template")) return OkStatus();
  const Json& value = config["chat_template"];
  if (!value.is_array()) {
    TANDEM_ASSIGN_OR_RETURN(data.chat_template,
                            TextField(config, "chat_template", ""));
    return OkStatus();
  }
  for (const Json& named : value) {
    if (!named.is_object() ||
        TextField(named, "name", "").value_or("") != "default") {
      continue;
    }
    TANDEM_ASSIGN_OR_RETURN(data.chat_template,
                            TextField(named, "template", ""));
  }
  return OkStatus();
}

}  // namespace

StatusOr<TokenizerData> ParseTokenizerJson(std::string_view text) {
  TANDEM_ASSIGN_OR_RETURN(const Json document, ParseJsonObject(text));
  if (!HasField(document, "model") || !document["model"].is_object()) {
    return InvalidArgument("field 'model' is missing or not an object");
  }
  const Json& model = document["model"];
  TokenizerData data;
  TANDEM_RETURN_IF_ERROR(ReadTextParts(document, data));
  TANDEM_RETURN_IF_ERROR(ReadModelOptions(model, data));
  TANDEM_RETURN_IF_ERROR(ReadTokens(document, data));
  TANDEM_RETURN_IF_ERROR(ReadUnknownToken(model, data));
  if (data.model != TokenizerModel::kUnigram) {
    TANDEM_RETURN_IF_ERROR(ReadMerges(model, data));
  }
  TANDEM_RETURN_IF_ERROR(
      ReadPostProcessor(document.value("post_processor", Json()), data));
  return data;
}

Status ApplyTokenizerConfig(std::string_view text, TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const Json config, ParseJsonObject(text));
  TANDEM_RETURN_IF_ERROR(ApplyRole(config, "bos_token", data, data.bos_id));
  TANDEM_RETURN_IF_ERROR(ApplyRole(config, "eos_token", data, data.eos_id));
  TANDEM_RETURN_IF_ERROR(ApplyRole(config, "unk_token", data, data.unknown_id));
  TANDEM_RETURN_IF_ERROR(ApplyRole(config, "pad_token", data, data.padding_id));
  return ApplyChatTemplate(config, data);
}

}  // namespace tandem
