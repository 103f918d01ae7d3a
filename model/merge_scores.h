// Merges and scores say the same of a SentencePiece BPE; files have one or the
// other: GGUF and tokenizer.model scores, tokenizer.json merges.
#ifndef TANDEM_MODEL_MERGE_SCORES_H_
#define TANDEM_MODEL_MERGE_SCORES_H_

#include <string>
#include <vector>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// data.merges, or all ways in which two tokens make a third, the best score
// first and in the order that transformers gives equal ones. The errors of
// TokenIndex::Create.
StatusOr<std::vector<std::string>> MergesOf(const TokenizerData& data);

// data.scores, or the negated rank of the first merge that makes a token.
std::vector<double> ScoresOf(const TokenizerData& data);

}  // namespace tandem

#endif  // TANDEM_MODEL_MERGE_SCORES_H_
