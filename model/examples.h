// Training and evaluation text: JSONL lines, rendered by the chat template,
// tokenised, with a mask of what is to be learnt.
#ifndef TANDEM_MODEL_EXAMPLES_H_
#define TANDEM_MODEL_EXAMPLES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/tokenizer.h"

namespace tandem {

struct ChatMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

// One line: {"text"}, {"prompt", "completion"} or {"messages": [{"role",
// "content"}, ...]}.
struct Example {
  std::vector<ChatMessage> messages;  // empty for plain text
  std::string text;                   // plain text: all of it is to be learnt
};

struct TokenizedExample {
  std::vector<int32_t> tokens;
  // is_target[i]: the loss counts the prediction of tokens[i] (from those
  // before it). Never set for i = 0.
  std::vector<uint8_t> is_target;
  // Bytes of the text that the targets stand for, for bits per byte; control
  // tokens count none.
  int64_t target_bytes = 0;
};

// InvalidArgument names file, line and what was expected; an empty file is an
// error too, as is one without examples. `max_examples` 0 takes all.
StatusOr<std::vector<Example>> ReadExamples(const std::filesystem::path& path,
                                            int64_t max_examples = 0);

// ChatML as SmolLM2's template renders it (its default system message
// included). Targets are the assistants' replies and the <|im_end|> after each;
// plain text has the end-of-text token appended. What is longer than
// `max_tokens` loses its tail (target_bytes counts what is left); an example
// without a target left has an all-zero mask.
TokenizedExample TokenizeExample(const Tokenizer& tokenizer,
                                 const Example& example, int64_t max_tokens);

// ReadExamples, then TokenizeExample of each; those without a target are
// dropped, and their number logged. InvalidArgument where none is left.
StatusOr<std::vector<TokenizedExample>> LoadTokenizedExamples(
    const Tokenizer& tokenizer, const std::filesystem::path& path,
    int64_t max_examples, int64_t max_tokens);

}  // namespace tandem

#endif  // TANDEM_MODEL_EXAMPLES_H_
