#include "model/sentence_piece_config.h"

#include <charconv>
#include <map>

#include "model/json_fields.h"
#include "model/tokenizer_json_parts.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

struct ExtraToken {
  std::string text;
  TokenType type;
};

// A piece's text stays; it is the unknown one or a control token for good.
Status RetypePiece(int64_t id, const ExtraToken& token, TokenizerData& data) {
  if (data.tokens[id] != token.text) {
    return InvalidArgument("token {} is '{}', but '{}' in the tokenizer.model",
                           id, token.text, data.tokens[id]);
  }
  if (!IsControlToken(data.types[id])) data.types[id] = token.type;
  return OkStatus();
}

// `tokens` by id, so that those after the last piece come in order.
Status AddTokens(const std::map<int64_t, ExtraToken>& tokens,
                 TokenizerData& data) {
  for (const auto& [id, token] : tokens) {
    const auto size = static_cast<int64_t>(data.tokens.size());
    if (id < 0 || id > size) {
      return InvalidArgument("token '{}' has the id {}, expected 0 to {}",
                             token.text, id, size);
    }
    if (id < size) {
      TANDEM_RETURN_IF_ERROR(RetypePiece(id, token, data));
      continue;
    }
    data.tokens.push_back(token.text);
    data.types.push_back(token.type);
    data.scores.push_back(0);
  }
  return OkStatus();
}

StatusOr<int64_t> ParseId(const std::string& digits) {
  int64_t id = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, id);
  if (error == std::errc() && stop == end) return id;
  return InvalidArgument("added_tokens_decoder has the id '{}'", digits);
}

StatusOr<ExtraToken> ParseToken(const Json& token) {
  if (!token.is_object() || !HasField(token, "content")) {
    return InvalidArgument(
        "added_tokens_decoder holds {}, expected an object "
        "with 'content'",
        Shown(token));
  }
  ExtraToken extra;
  TANDEM_ASSIGN_OR_RETURN(extra.text, TextField(token, "content", ""));
  for (const char* name : {"lstrip", "rstrip", "single_word"}) {
    TANDEM_RETURN_IF_ERROR(
        Annotate(ExpectOption(token, name, false, false),
                 fmt::format("added token '{}'", extra.text)));
  }
  TANDEM_ASSIGN_OR_RETURN(const bool special,
                          BoolField(token, "special", false));
  extra.type = special ? TokenType::kControl : TokenType::kUserDefined;
  return extra;
}

}  // namespace

Status ApplySentencePieceConfig(std::string_view text, TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const Json config, ParseJsonObject(text));
  TANDEM_ASSIGN_OR_RETURN(data.add_bos,
                          BoolField(config, "add_bos_token", data.add_bos));
  std::map<int64_t, ExtraToken> tokens;
  const Json decoder = config.value("added_tokens_decoder", Json::object());
  if (!decoder.is_object()) {
    return InvalidArgument("added_tokens_decoder is {}, which is no object",
                           Shown(decoder));
  }
  for (const auto& [digits, token] : decoder.items()) {
    TANDEM_ASSIGN_OR_RETURN(const int64_t id, ParseId(digits));
    TANDEM_ASSIGN_OR_RETURN(tokens[id], ParseToken(token));
  }
  return AddTokens(tokens, data);
}

Status ApplyAddedTokens(std::string_view text, TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const Json added, ParseJsonObject(text));
  std::map<int64_t, ExtraToken> tokens;
  for (const auto& [token, id] : added.items()) {
    if (!id.is_number_integer()) {
      return InvalidArgument("added token '{}' has the id {}", token,
                             Shown(id));
    }
    const auto number = id.get<int64_t>();
    const bool is_piece =
        number >= 0 && number < static_cast<int64_t>(data.tokens.size());
    tokens[number] = {token,
                      is_piece ? data.types[number] : TokenType::kControl};
  }
  return AddTokens(tokens, data);
}

}  // namespace tandem
