// The items of one forward pass, and the log-likelihoods of their choices.
#ifndef TANDEM_MODEL_CHOICE_LIKELIHOOD_H_
#define TANDEM_MODEL_CHOICE_LIKELIHOOD_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "model/choice_task.h"
#include "model/decoder.h"
#include "model/token_trie.h"

namespace tandem {

class ChoiceBatch {
 public:
  bool empty() const { return items_.empty(); }
  // True for an empty batch, and while the batch stays small enough for its
  // activations to be.
  bool HasRoomFor(const std::vector<TokenizedChoice>& item) const;
  // An item shares the trie of the one before where they have most of their
  // tokens in common; else it starts one, since attention takes the square of a
  // trie's size.
  void Add(const std::vector<TokenizedChoice>& item);
  // Of each item's choices, in the order they were added, nats. Throws what
  // Decoder::ForwardTries does.
  std::vector<std::vector<double>> LogLikelihoods(const Decoder& model,
                                                  const Adapter* adapter) const;

 private:
  bool Joins(const std::vector<TokenizedChoice>& item) const;
  int64_t NewTokens(const std::vector<TokenizedChoice>& item) const;

  std::deque<TokenTrie> tries_;
  int64_t finished_tokens_ = 0;  // in all tries but the last
  // Of every token to predict: the row that predicts it, and the token.
  std::vector<int64_t> rows_, targets_;
  // Per item, the number of such tokens of each choice.
  std::vector<std::vector<int64_t>> items_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_CHOICE_LIKELIHOOD_H_
