#include "model/gguf_checkpoint.h"

namespace tandem {
namespace {

StatusOr<std::optional<int32_t>> OptionalId(const GgufFile& file,
                                            const std::string& key,
                                            size_t tokens) {
  if (!file.Has(key)) return std::optional<int32_t>();
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t id, file.Integer(key, 0, static_cast<int64_t>(tokens) - 1));
  return std::optional<int32_t>(static_cast<int32_t>(id));
}

StatusOr<std::vector<TokenType>> TypesOf(const GgufFile& file, size_t tokens) {
  constexpr auto kKey = "tokenizer.ggml.token_type";
  if (!file.Has(kKey)) {
    return std::vector<TokenType>(tokens, TokenType::kNormal);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers,
                          file.Integers(kKey));
  if (numbers.size() != tokens) {
    return InvalidArgument("key '{}' has {} values, expected one per token, {}",
                           kKey, numbers.size(), tokens);
  }
  std::vector<TokenType> types;
  for (const int64_t number : numbers) {
    if (number < static_cast<int64_t>(TokenType::kNormal) ||
        number > static_cast<int64_t>(TokenType::kByte)) {
      return InvalidArgument("key '{}' holds {}, expected 1 to 6", kKey,
                             number);
    }
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

Status CheckModel(const GgufFile& file) {
  TANDEM_ASSIGN_OR_RETURN(const std::string model,
                          file.Text("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return InvalidArgument(
        "key 'tokenizer.ggml.model' is '{}', only 'gpt2' (byte-level BPE) is "
        "supported",
        model);
  }
  TANDEM_ASSIGN_OR_RETURN(const bool prefix,
                          file.Flag("tokenizer.ggml.add_space_prefix", false));
  if (prefix) {
    return InvalidArgument(
        "key 'tokenizer.ggml.add_space_prefix' is true, expected false");
  }
  return OkStatus();
}

}  // namespace

StatusOr<TokenizerData> TokenizerOfGguf(const GgufFile& file) {
  TANDEM_RETURN_IF_ERROR(CheckModel(file));
  TokenizerData data;
  TANDEM_ASSIGN_OR_RETURN(data.pre_tokenizer, file.Text("tokenizer.ggml.pre"));
  TANDEM_ASSIGN_OR_RETURN(data.tokens, file.Texts("tokenizer.ggml.tokens"));
  TANDEM_ASSIGN_OR_RETURN(data.merges, file.Texts("tokenizer.ggml.merges"));
  const size_t tokens = data.tokens.size();
  TANDEM_ASSIGN_OR_RETURN(data.types, TypesOf(file, tokens));
  const auto id = [&](const char* name) {
    return OptionalId(file, fmt::format("tokenizer.ggml.{}_token_id", name),
                      tokens);
  };
  TANDEM_ASSIGN_OR_RETURN(data.bos_id, id("bos"));
  TANDEM_ASSIGN_OR_RETURN(data.eos_id, id("eos"));
  TANDEM_ASSIGN_OR_RETURN(data.unknown_id, id("unknown"));
  TANDEM_ASSIGN_OR_RETURN(data.padding_id, id("padding"));
  TANDEM_ASSIGN_OR_RETURN(data.add_bos,
                          file.Flag("tokenizer.ggml.add_bos_token", false));
  if (file.Has("tokenizer.chat_template")) {
    TANDEM_ASSIGN_OR_RETURN(data.chat_template,
                            file.Text("tokenizer.chat_template"));
  }
  return data;
}

}  // namespace tandem
