#include "model/tokenizer_folder.h"

#include "model/sentence_piece_config.h"
#include "model/sentence_piece_model.h"
#include "model/text_file.h"
#include "model/tokenizer_json.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

bool HasFile(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// apply(text, data) for the file, if there is one.
template <typename Apply>
Status ApplyFile(const fs::path& path, const Apply& apply,
                 TokenizerData& data) {
  if (!HasFile(path)) return OkStatus();
  return ParseFile(path,
                   [&](const std::string& text) { return apply(text, data); });
}

// With the tokens that were added to the model's.
StatusOr<TokenizerData> LoadSentencePiece(const fs::path& folder) {
  TANDEM_ASSIGN_OR_RETURN(
      TokenizerData data,
      ParseFile(folder / "tokenizer.model", ParseSentencePieceModel));
  TANDEM_RETURN_IF_ERROR(ApplyFile(folder / "tokenizer_config.json",
                                   ApplySentencePieceConfig, data));
  TANDEM_RETURN_IF_ERROR(
      ApplyFile(folder / "added_tokens.json", ApplyAddedTokens, data));
  return data;
}

StatusOr<TokenizerData> LoadVocabulary(const fs::path& folder) {
  const bool has_json = HasFile(folder / "tokenizer.json");
  if (!has_json && HasFile(folder / "tokenizer.model")) {
    return LoadSentencePiece(folder);
  }
  return ParseFile(folder / "tokenizer.json", ParseTokenizerJson);
}

}  // namespace

StatusOr<TokenizerData> LoadTokenizerFiles(const fs::path& folder) {
  TANDEM_ASSIGN_OR_RETURN(TokenizerData data, LoadVocabulary(folder));
  // The later file has the last word.
  for (const char* name :
       {"special_tokens_map.json", "tokenizer_config.json"}) {
    TANDEM_RETURN_IF_ERROR(
        ApplyFile(folder / name, ApplyTokenizerConfig, data));
  }
  if (HasFile(folder / "chat_template.jinja")) {
    TANDEM_ASSIGN_OR_RETURN(data.chat_template,
                            ReadFile(folder / "chat_template.jinja"));
  }
  return data;
}

Status SaveTokenizerFiles(const TokenizerData& data, int64_t context_length,
                          const fs::path& folder) {
  TANDEM_RETURN_IF_ERROR(
      WriteText(folder / "tokenizer.json", FormatTokenizerJson(data)));
  TANDEM_RETURN_IF_ERROR(
      WriteText(folder / "tokenizer_config.json",
                FormatTokenizerConfig(data, context_length)));
  return WriteText(folder / "special_tokens_map.json",
                   FormatSpecialTokensMap(data));
}

}  // namespace tandem
