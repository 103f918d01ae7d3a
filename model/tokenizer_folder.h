// The tokenizer's files in a Hugging Face folder.
#ifndef TANDEM_MODEL_TOKENIZER_FOLDER_H_
#define TANDEM_MODEL_TOKENIZER_FOLDER_H_

#include <cstdint>
#include <filesystem>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// tokenizer.json, or else SentencePiece's tokenizer.model, and what
// special_tokens_map.json, tokenizer_config.json, added_tokens.json and
// chat_template.jinja add. NotFound: neither of the first two. InvalidArgument,
// led by the file's path: those of the parsers.
StatusOr<TokenizerData> LoadTokenizerFiles(const std::filesystem::path& folder);

// tokenizer.json, tokenizer_config.json and special_tokens_map.json.
// `context_length` in tokens. The errors of FormatTokenizerJson.
Status SaveTokenizerFiles(const TokenizerData& data, int64_t context_length,
                          const std::filesystem::path& folder);

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_FOLDER_H_
