// Whether a GGUF can say what a tokenizer does.
#ifndef TANDEM_MODEL_GGUF_TOKENIZER_FORM_H_
#define TANDEM_MODEL_GGUF_TOKENIZER_FORM_H_

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// Tokens whose scores count in a GGUF's unigram: llama.cpp takes those of all
// others for 0.
inline bool HasUnigramScore(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUnused;
}

// OK where TokenizerOfGguf reads back a tokenizer of the same ids; merges of a
// SentencePiece BPE are ScoresOf's to judge. InvalidArgument, naming it: what
// GGUF has no key for, and what the name of a tokenizer model or pre-tokenizer
// says otherwise.
Status CheckGgufForm(const TokenizerData& data);

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_TOKENIZER_FORM_H_
