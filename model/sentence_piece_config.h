// What Hugging Face's files say of a tokenizer.model beyond what it says
// itself.
#ifndef TANDEM_MODEL_SENTENCE_PIECE_CONFIG_H_
#define TANDEM_MODEL_SENTENCE_PIECE_CONFIG_H_

#include <string_view>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// tokenizer_config.json: add_bos_token, and added_tokens_decoder, {"32000":
// {"content": "<|im_end|>", "special": true}, ...}. A special token becomes a
// control token, any other a user-defined one, in place of a piece of the same
// id and text or after the last. InvalidArgument: no JSON, another text than
// the piece has, ids that leave a hole, tokens that strip the text around them.
Status ApplySentencePieceConfig(std::string_view text, TokenizerData& data);

// added_tokens.json, {"<|im_end|>": 32000, ...}: control tokens, but for ids
// that are there. The same errors.
Status ApplyAddedTokens(std::string_view text, TokenizerData& data);

}  // namespace tandem

#endif  // TANDEM_MODEL_SENTENCE_PIECE_CONFIG_H_
