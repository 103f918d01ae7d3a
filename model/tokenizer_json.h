// The tokenizer files of a Hugging Face folder <-> TokenizerData.
#ifndef TANDEM_MODEL_TOKENIZER_JSON_H_
#define TANDEM_MODEL_TOKENIZER_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// A tokenizer.json with a byte-level BPE, a SentencePiece BPE or a unigram:
// tokens, types, merges or scores, pre-tokenizer, and what its post-processor
// says of a leading token. Merges may be "a b" or ["a", "b"]. InvalidArgument,
// naming the part: another model, normaliser, pre-tokenizer or post-processor,
// options that change ids, token ids that are not 0 .. n-1, added tokens that
// strip the text around them or that a normaliser changes.
StatusOr<TokenizerData> ParseTokenizerJson(std::string_view text);

// Adds what tokenizer_config.json or special_tokens_map.json say: the bos, eos,
// unknown and padding tokens, and the chat template. InvalidArgument: a named
// token that `data` does not have.
Status ApplyTokenizerConfig(std::string_view text, TokenizerData& data);

// The way back, as transformers reads them. InvalidArgument: a pre-tokenizer
// without a Hugging Face form, merges that are not two tokens, text that is not
// UTF-8, what CheckHasOtherForm refuses.
StatusOr<std::string> FormatTokenizerJson(const TokenizerData& data);
StatusOr<std::string> FormatTokenizerConfig(const TokenizerData& data,
                                            int64_t context_length);
StatusOr<std::string> FormatSpecialTokensMap(const TokenizerData& data);

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_JSON_H_
