// Unigram tokenizers of a few tokens.
#ifndef TANDEM_TESTS_TESTING_UNIGRAM_DATA_H_
#define TANDEM_TESTS_TESTING_UNIGRAM_DATA_H_

#include <string>
#include <utility>
#include <vector>

#include "model/tokenizer_data.h"

namespace tandem::testing {

using TokenScores = std::vector<std::pair<std::string, double>>;

// Ids: <unk> 0, then the tokens.
inline TokenizerData UnigramData(const TokenScores& scored) {
  TokenizerData data;
  data.model = TokenizerModel::kUnigram;
  data.tokens = {"<unk>"};
  data.scores = {0};
  for (const auto& [token, score] : scored) {
    data.tokens.push_back(token);
    data.scores.push_back(score);
  }
  data.types.assign(data.tokens.size(), TokenType::kNormal);
  data.types[0] = TokenType::kUnknown;
  data.unknown_id = 0;
  return data;
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_UNIGRAM_DATA_H_
