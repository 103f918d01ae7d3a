// Training and evaluation text: JSONL lines, rendered by the chat template,
// tokenised, with a mask of what is to be learnt.
#ifndef TANDEM_MODEL_EXAMPLES_H_
#define TANDEM_MODEL_EXAMPLES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace tandem {

// One line: {"text"}, {"prompt", "completion"} or {"messages": [{"role",
// "content"}, ...]}.
struct Example {
  std::vector<ChatMessage> messages = {};  // empty for plain text
  std::string text = "";  // plain text: all of it is to be learnt
};

// InvalidArgument names file, line and what was expected; a file without
// examples is an error too. Blank lines are skipped, further fields of an
// object ignored. `max_examples` 0 takes all.
StatusOr<std::vector<Example>> ReadExamples(const std::filesystem::path& path,
                                            int64_t max_examples = 0);

// A conversation by its chat template (see chat_template.h); plain text with
// the end-of-text token appended, all of it a target but the first token, which
// nothing predicts. What is longer than `max_tokens` loses its tail
// (target_bytes counts what is left); an example without a target left has an
// all-zero mask. Errors are the chat template's.
StatusOr<TokenizedExample> TokenizeExample(const Tokenizer& tokenizer,
                                           const Example& example,
                                           int64_t max_tokens);

// ReadExamples, then TokenizeExample of each; those without a target are
// dropped, and their number logged. InvalidArgument where none is left.
StatusOr<std::vector<TokenizedExample>> LoadTokenizedExamples(
    const Tokenizer& tokenizer, const std::filesystem::path& path,
    int64_t max_examples, int64_t max_tokens);

}  // namespace tandem

#endif  // TANDEM_MODEL_EXAMPLES_H_
