// The tokenizer in a GGUF's metadata.
#ifndef TANDEM_MODEL_GGUF_TOKENIZER_H_
#define TANDEM_MODEL_GGUF_TOKENIZER_H_

#include <cstdint>

#include "common/status.h"
#include "model/gguf_reader.h"
#include "model/gguf_writer.h"
#include "model/tokenizer_data.h"

namespace tandem {

// InvalidArgument, naming the key: another tokenizer model than "gpt2"
// (byte-level BPE), "llama" (SentencePiece's BPE) or "t5" (unigram, which has
// no byte fallback in llama.cpp), arrays of unequal length, an unknown
// pre-tokenizer, ids out of range, a precompiled_charsmap.
StatusOr<TokenizerData> TokenizerOfGguf(const GgufFile& file);

// Adds the keys of a tokenizer, filled up with unused tokens to the number of
// rows that the embedding table has: llama.cpp wants a token for each.
// TokenizerOfGguf reads back a tokenizer that gives the same ids, and llama.cpp
// one that does so too, but for two things that it leaves out: form C (NFC),
// although the models named qwen2 and olmo were trained with it, and what
// follows a NUL in a token. InvalidArgument, so that nothing changes silently:
// what CheckGgufForm or ScoresOf refuse, more tokens than `vocabulary_size`.
Status AddTokenizer(const TokenizerData& data, int64_t vocabulary_size,
                    GgufWriter& writer);

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_TOKENIZER_H_
