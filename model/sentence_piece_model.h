// SentencePiece's tokenizer.model -> TokenizerData.
#ifndef TANDEM_MODEL_SENTENCE_PIECE_MODEL_H_
#define TANDEM_MODEL_SENTENCE_PIECE_MODEL_H_

#include <string_view>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// A serialised ModelProto of the type bpe or unigram; ids are SentencePiece's
// own. The beginning-of-text token goes before every text where there is one:
// the file does not say, and the models that have no other file want it.
// InvalidArgument, naming the field, piece or option: bytes that are no such
// message or end early, without trainer_spec or normalizer_spec; pieces that
// are empty, no UTF-8, of an unknown type or too many; bytes' pieces that do
// not fit byte_fallback; no unknown piece, or two. And what would change ids in
// a way that Tandem cannot: another type of model, rules of normalisation
// (precompiled_charsmap), spaces that stay unmarked or are put at the end,
// unused pieces in a BPE.
StatusOr<TokenizerData> ParseSentencePieceModel(std::string_view bytes);

}  // namespace tandem

#endif  // TANDEM_MODEL_SENTENCE_PIECE_MODEL_H_
