// What of a tokenised example is there to learn.
#ifndef TANDEM_MODEL_EXAMPLE_TARGETS_H_
#define TANDEM_MODEL_EXAMPLE_TARGETS_H_

#include <cstdint>

#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace tandem {

// Drops the tokens past `max_tokens` and takes their text off target_bytes;
// returns how many there were.
int64_t CutTail(const Tokenizer& tokenizer, int64_t max_tokens,
                TokenizedExample& example);

// Whether there is anything to learn.
bool HasTarget(const TokenizedExample& example);

}  // namespace tandem

#endif  // TANDEM_MODEL_EXAMPLE_TARGETS_H_
