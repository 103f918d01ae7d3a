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

// data.scores, or for each token the negated rank of the merge that makes it:
// there is only one that ever does. InvalidArgument where scores would give
// other ids than the merges: two symbols that come to stand side by side make a
// token, but have no merge, or have one and make a token that is no text. The
// errors of TokenIndex::Create and BytePairMerges::Create.
StatusOr<std::vector<double>> ScoresOf(const TokenizerData& data);

}  // namespace tandem

#endif  // TANDEM_MODEL_MERGE_SCORES_H_
